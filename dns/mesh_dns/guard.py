"""What depends on who asks: how much he gets, his cookie, and what only our own cluster is told.

1. Nothing of a local asker is counted, kept or refused; a cookie he shows is answered and not looked at, but
   where he asks for nothing else.
2. Everybody else is bounded by `mesh_dns.limit`. Who shows a cookie of ours, or asks over TCP, has proven
   that he has the address that he asks from.
3. What is said about the server itself (class CH) is for askers who are surely of this cluster.

The reply's form is `mesh_dns.answer`'s. Times are seconds of the event loop's clock.
"""

from collections.abc import Callable

from mesh_dns.chaos import Facts, chaos_answer
from mesh_dns.cookie import CLIENT_BYTES, COOKIE_OPTION, Cookies
from mesh_dns.counts import Drop
from mesh_dns.limit import Limit
from mesh_dns.question import Question, Refusal
from mesh_dns.sources import Sources, plain
from mesh_dns.table import Answer
from mesh_dns.wire import option


class Guard:
    """One for all sockets of a process. `epoch` is what the clock's 0 is in seconds since 1970, about."""

    def __init__(
        self, sources: Sources, *, cookies: Cookies, facts: Callable[[], Facts], epoch: float
    ) -> None:
        self.sources = sources
        self.cookies = cookies
        self.facts = facts
        self.epoch = epoch
        self.limit = Limit()

    def asker(self, address: str, *, now: float, is_local: bool | None = None) -> "Asker":
        """Whoever sent one packet from `address`, as its socket tells it, without the port.

        `is_local` is what `sources` said of it already, None: nobody asked.
        """
        if is_local is None:
            is_local = self.sources.is_local(address)
        return Asker(self, address, now=now, is_local=is_local)


class Asker:
    """Whoever sent one packet: ask `may_ask` first, then the rest.

    After that `is_silenced` and `is_cut` say whether the limit took away the reply, or made it small, and
    `has_bad_cookie` whether a server's cookie was shown and looked at that is none of ours, or too old.
    """

    def __init__(self, guard: Guard, address: str, *, now: float, is_local: bool) -> None:
        self._guard = guard
        self._address = address
        self._now = now
        self._is_local = is_local
        self._shown: bytes | None = None  # the cookie, if it is to be looked at and answered
        self._is_proven = False
        self._has_good_cookie = False
        self.has_bad_cookie = False
        self.is_silenced = False
        self.is_cut = False

    def may_ask(self, query: Question | Refusal, *, over_tcp: bool) -> bool:
        """Whether the query is answered at all."""
        if isinstance(query, Question):
            shown = _cookie(query)
            if self._is_local or (shown is not None and self._guard.limit.may_have_cookie(now=self._now)):
                self._shown = shown
            if not (self._is_local and query.name):
                self._look_at(self._shown)
        if self._is_local:
            return True
        self._is_proven = over_tcp or self._has_good_cookie
        may = self._guard.limit.may_ask(self._address, is_proven=self._is_proven, now=self._now)
        self.is_silenced = not may
        return may

    def may_get_more(self) -> bool:
        """Whether the reply may be larger than the query; to be asked when it is."""
        if self._is_local or self._is_proven:
            return True
        may = self._guard.limit.may_get_more(self._address, now=self._now)
        self.is_cut = not may
        return may

    def told_of_us(self, question: Question) -> Answer | None:
        """The answer to a question of class CH; None where there is none for this asker."""
        if not self._guard.sources.is_surely_local(self._address):
            return None
        return chaos_answer(question, self._guard.facts())

    def options(self) -> bytes:
        """What the reply's OPT record holds: a cookie for who sent one (RFC 7873 section 5.2)."""
        if self._shown is None:
            return b""
        cookie = self._guard.cookies.answer(
            self._shown,
            is_good=self._has_good_cookie,
            address=plain(self._address),
            now=self._guard.epoch + self._now,
        )
        return option(COOKIE_OPTION, cookie)

    def _look_at(self, shown: bytes | None) -> None:
        if shown is not None and len(shown) > CLIENT_BYTES:
            self._has_good_cookie = self._guard.cookies.is_good(
                shown, address=plain(self._address), now=self._guard.epoch + self._now
            )
            self.has_bad_cookie = not self._has_good_cookie


def anybody(address: str) -> bool:
    """Everybody is local: where it makes no difference who asks."""
    return True


def drop_of(asker: Asker | None) -> Drop:
    """Why a query of this asker got no reply."""
    return Drop.LIMITED if asker is not None and asker.is_silenced else Drop.NO_QUERY


def _cookie(question: Question) -> bytes | None:
    """The cookie that was shown; an OPT record of another version may mean something else by it."""
    edns = question.edns
    return edns.cookie if edns is not None and edns.version == 0 else None

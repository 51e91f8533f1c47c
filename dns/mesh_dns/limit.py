"""How much askers outside the cluster get (ruling 16, docs/decisions/0025). Local ones are never asked about.

1. Each source may ask so much; beyond that there is silence.
2. Who may not be who he says he is, over UDP without a cookie of ours, gets so many replies that are larger
   than his questions; beyond that each reply is no larger. So nobody is flooded through us.
3. Those who are who they say have buckets of their own: nobody can use theirs up in their name.
4. A source is an IPv4 address, or 64 bits of an IPv6 address, which is what one host may have.
5. Memory is bounded, and so is what all strangers together get that is larger than they asked. There is no
   common bound on asking: with addresses from anywhere, one of them could silence all others.
6. Work on cookies, which costs many times what an answer does, is bounded for all strangers together. Beyond
   that a cookie is passed over, as a server may that knows none (RFC 7873 section 5.2): who shows one is
   served by what else is known of him.
"""

from mesh_core.ranges import parsed
from mesh_core.token_bucket import TokenBucket, TokenBuckets
from mesh_dns.sources import plain

ASK_RATE, ASK_BURST = 200, 400
"""Questions a second, and at once, of one source."""

LARGE_RATE, LARGE_BURST = 20, 60
"""Replies larger than the question, of at most 1232 bytes each, to one source that may not be who it says."""

LARGE_TOTAL_RATE, LARGE_TOTAL_BURST = 1000, 2000
"""The same to all of them together: at most 1.2 MB a second leave us for anybody."""

COOKIE_RATE, COOKIE_BURST = 2000, 2000
"""Cookies of strangers that are looked at and answered, a second and at once: two hashes of 30 µs each."""

MOST_SOURCES = 8192
"""Remembered of each of three kinds; about 5 MB in all, and nothing else of a stranger is."""


class Limit:
    """Times are seconds of one clock; addresses are as a socket tells them."""

    def __init__(self) -> None:
        self._claimed = TokenBuckets(rate=ASK_RATE, burst=ASK_BURST, most=MOST_SOURCES)
        self._proven = TokenBuckets(rate=ASK_RATE, burst=ASK_BURST, most=MOST_SOURCES)
        self._large = TokenBuckets(
            rate=LARGE_RATE,
            burst=LARGE_BURST,
            total_rate=LARGE_TOTAL_RATE,
            total_burst=LARGE_TOTAL_BURST,
            most=MOST_SOURCES,
        )
        self._cookies = TokenBucket(COOKIE_RATE, COOKIE_BURST)

    def may_ask(self, address: str, *, is_proven: bool, now: float) -> bool:
        """Whether a question is answered at all; `is_proven`: it came over TCP or with a cookie of ours."""
        buckets = self._proven if is_proven else self._claimed
        return buckets.take(_source(address), now=now)

    def may_get_more(self, address: str, *, now: float) -> bool:
        """Whether somebody who has proven nothing gets a reply that is larger than the question."""
        return self._large.take(_source(address), now=now)

    def may_have_cookie(self, *, now: float) -> bool:
        """Whether a cookie that somebody shows is looked at and answered."""
        return self._cookies.take(now=now)


def _source(address: str) -> str:
    text = plain(address)
    number = parsed(text) if ":" in text else None
    if number is None:
        return text
    return f"{number.value >> 64:x}::/64"

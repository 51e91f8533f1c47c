"""How many streams may be open at a time: in total, of one cluster, and of the key that let it in.

An issuer's holder chooses the ids below it, so a bound for each id bounds nothing: whoever is counted, it is
by the key that the root has signed, too.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mesh_core.peer_wire import PeerProtocolError
from mesh_core.trust import Chain

MOST_STREAMS = 256
MOST_OF_ONE = 16
"""Streams of one cluster: one at a time is the rule, and a dead one is noticed after three heartbeats."""
MOST_OF_ONE_KEY = 64
"""Streams of all clusters that one issuer has let in."""
MOST_NEWCOMERS = 8
"""Streams at once of clusters that our texts do not name yet; of one key there is one."""


def key_above(chain: Chain) -> str:
    """The key (KeyId) that the root itself has signed: who answers for the one at the other end."""
    return chain.issuer or chain.intermediate


class StreamPlaces:
    """Who is here now."""

    def __init__(self) -> None:
        self._by_peer: Counter[str] = Counter()
        self._by_key: Counter[str] = Counter()
        self._newcomers: set[str] = set()

    @contextmanager
    def taken(self, peer: str, *, key: str) -> Iterator[None]:
        """A place for a stream of `peer`, whom `key` let in; raises PeerProtocolError when there is none."""
        if self._by_peer.total() >= MOST_STREAMS:
            raise PeerProtocolError(f"more than {MOST_STREAMS} streams are open")
        if self._by_peer[peer] >= MOST_OF_ONE:
            raise PeerProtocolError(f"more than {MOST_OF_ONE} streams of {peer} are open")
        if self._by_key[key] >= MOST_OF_ONE_KEY:
            raise PeerProtocolError(
                f"more than {MOST_OF_ONE_KEY} streams are open of those whom the issuer of {peer} let in"
            )
        self._by_peer[peer] += 1
        self._by_key[key] += 1
        try:
            yield
        finally:
            _less(self._by_peer, peer)
            _less(self._by_key, key)

    @contextmanager
    def waiting(self, *, key: str, why: str) -> Iterator[None]:
        """A place for somebody unknown, as `why` has it; raises PeerProtocolError when there is none."""
        if key in self._newcomers:
            raise PeerProtocolError(f"{why} (and another one of the same key waits here unknown)")
        if len(self._newcomers) >= MOST_NEWCOMERS:
            raise PeerProtocolError(f"{why} (and {MOST_NEWCOMERS} others wait here unknown)")
        self._newcomers.add(key)
        try:
            yield
        finally:
            self._newcomers.discard(key)


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]

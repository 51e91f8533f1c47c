"""Places for what is carried at a time: shares, so that one kind of traffic cannot shut out another.

| share | at most | of one | counts in `connections` |
|---|---|---|---|
| `EGRESS`: what local pods open | 7/8 of them | source address: `streams_per_source` | yes |
| `INGRESS`: what members ask for | 7/8, with `PUBLIC` | | yes |
| `PUBLIC`: who comes to a public name | `public` | service: `public_per_service` | yes |
| `PASSED`: to our controller, past our TLS | `passed_through` | | no |
| `RESERVED`: to our controller, by tunnels | `passed_through` | peer: `reserved_per_peer` | no |
| `API_SERVER`: to our API server, by tunnels | `api_server` | peer: `api_server_per_peer` | no |
| `DOOR`: who has not proved yet who he is, and the inner door | counted only: the doors have bounds | | no |

A peer's streams have a bound of their own (`tunnel_ingress`). `take` and `give_back` belong together.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from mesh_gateway.limits import Limits


class Share(Enum):
    """What a place is for."""

    # Looked up for each stream; Enum's own is a function of Python's, ten times slower.
    __hash__ = object.__hash__

    EGRESS = "egress"
    INGRESS = "ingress"
    PUBLIC = "public"
    PASSED = "passed"
    RESERVED = "reserved"
    API_SERVER = "api server"
    DOOR = "door"


class Claim(NamedTuple):
    """For what a place is taken, and by whom: a source address, a peer or a service; "" for nobody."""

    share: Share
    of: str = ""


INWARD = Claim(Share.INGRESS)
PASSED = Claim(Share.PASSED)
AT_DOOR = Claim(Share.DOOR)

_INWARD = (Share.INGRESS, Share.PUBLIC)
_STREAMS = (Share.EGRESS, *_INWARD)


@dataclass(frozen=True, slots=True)
class _Bound:
    """Of one share; None: there is none."""

    most: int | None = None
    each: int | None = None


class Places:
    """Counts them."""

    def __init__(self, limits: Limits) -> None:
        self._all = limits.connections
        self._most_inward = side = -(-7 * limits.connections // 8)
        self._bounds = {
            Share.EGRESS: _Bound(side, limits.streams_per_source),
            Share.INGRESS: _Bound(side),
            Share.PUBLIC: _Bound(limits.public, limits.public_per_service),
            Share.PASSED: _Bound(limits.passed_through),
            Share.RESERVED: _Bound(limits.passed_through, limits.reserved_per_peer),
            Share.API_SERVER: _Bound(limits.api_server, limits.api_server_per_peer),
            Share.DOOR: _Bound(),
        }
        self._counts = dict.fromkeys(Share, 0)
        self._taken = 0
        self._each: dict[Claim, int] = {}

    @property
    def taken(self) -> int:
        """Places of all shares that are taken."""
        return self._taken

    @property
    def headroom(self) -> float:
        """The share, from 0 to 1, of what local pods may open that is free."""
        counts, bound = self._counts, self._bounds[Share.EGRESS].most
        streams = sum(counts[share] for share in _STREAMS)
        own = counts[Share.EGRESS] / bound if bound else 1.0
        return max(0.0, 1.0 - max(own, streams / self._all))

    def take(self, claim: Claim) -> bool:
        """Takes a place; False when there is none."""
        share, counts = claim.share, self._counts
        bound = self._bounds[share]
        if bound.most is not None and counts[share] >= bound.most:
            return False
        if share in _STREAMS:
            inward = counts[Share.INGRESS] + counts[Share.PUBLIC]
            if inward + counts[Share.EGRESS] >= self._all:
                return False
            if share in _INWARD and inward >= self._most_inward:
                return False
        if bound.each is not None:
            mine = self._each.get(claim, 0)
            if mine >= bound.each:
                return False
            self._each[claim] = mine + 1
        counts[share] += 1
        self._taken += 1
        return True

    def give_back(self, claim: Claim) -> None:
        """Gives back a place that `take` gave for an equal claim."""
        self._counts[claim.share] -= 1
        self._taken -= 1
        if self._bounds[claim.share].each is None:
            return
        left = self._each[claim] - 1
        if left:
            self._each[claim] = left
        else:
            del self._each[claim]

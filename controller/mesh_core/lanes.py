"""How many ways to the gateways kube-proxy gets where it chooses between local pods and the mesh (ruling 22).

kube-proxy gives every endpoint of a Service the same share. Local pods are an endpoint each; behind the mesh
stands any number, and what kube-proxy sees of them is (gateways listed) x (lanes). A lane is an egress port:
lane 0 is in the slices of the remote clusters, further ones have slices of their own.

1. Without local pods there is nothing to divide: one lane, all gateways.
2. Otherwise as many gateways are listed as give the mesh its share within `TOLERANCE` (one that dies then
   takes least with it), no more than there are endpoints behind them; and with these as many lanes as bring
   the share nearest to that of its ready endpoints, at most `MOST_LANES`.
3. What is there stays as long as the share is off by at most `TOLERANCE` of what it should be, so that a
   rollout does not rewrite slices with every pod. Whoever asks says whether it has been off for long enough.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

MOST_LANES = 8
TOLERANCE = 0.2
PATIENCE = 10.0
"""Seconds for which the share must be off before lanes change."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """`lanes` egress ports for each imported port, on `gateways` of the local gateways."""

    lanes: int
    gateways: int


@dataclass(frozen=True, slots=True)
class Division:
    """Ready endpoints of this cluster and behind the mesh, and the number of ready local gateways."""

    local: int
    remote: int
    gateways: int

    @property
    def share(self) -> float:
        """The part of new connections that should go to the mesh."""
        return self.remote / (self.local + self.remote) if self.remote else 0.0

    def share_with(self, lanes: Lanes) -> float:
        """The part that goes to the mesh with these lanes."""
        ways = lanes.lanes * min(lanes.gateways, self.gateways)
        return ways / (self.local + ways) if ways else 0.0


def best(division: Division) -> Lanes:
    """Laws 1 and 2."""
    if not division.local or not division.remote or not division.gateways:
        return Lanes(1, max(division.gateways, 1))
    nearest = [
        min(
            (Lanes(lanes, gateways) for lanes in range(1, MOST_LANES + 1)),
            key=lambda it: round(_off(it, division=division), 9),
        )
        for gateways in range(min(division.gateways, division.remote), 0, -1)
    ]
    for candidate in nearest:
        if _off(candidate, division=division) <= TOLERANCE * division.share:
            return candidate
    return min(nearest, key=lambda it: round(_off(it, division=division), 9))


def _off(present: Lanes, *, division: Division) -> float:
    return abs(division.share_with(present) - division.share)


def is_off(present: Lanes, *, division: Division) -> bool:
    """Whether what is there gives a share that is off by more than the tolerance, and could be better.

    Fewer gateways than could carry it are off too: one that was away for a moment must come back.
    """
    wanted = best(division)
    # With nothing ready behind the mesh no connection goes there, and the ports wait for its return.
    if wanted == present or not division.remote:
        return False
    if present.gateways < wanted.gateways:
        return True
    off = _off(present, division=division)
    return off > TOLERANCE * division.share and off > _off(wanted, division=division)


def wanted_lanes(present: Lanes | None, *, division: Division, settled: bool) -> Lanes:
    """Law 3: the lanes to have; `present` is None when there are no slices yet."""
    if present is None or not present.gateways or not division.local:
        return best(division)
    if is_off(present, division=division) and settled:
        return best(division)
    return Lanes(present.lanes, max(1, min(present.gateways, division.gateways)))


def chosen(gateways: Sequence[str], *, number: int, service: str) -> tuple[str, ...]:
    """`number` of the gateways, by rendezvous hash, so that services spread over them; sorted."""

    def rank(address: str) -> bytes:
        return hashlib.sha256(f"{service}|{address}".encode()).digest()

    return tuple(sorted(sorted(gateways, key=rank)[:number]))

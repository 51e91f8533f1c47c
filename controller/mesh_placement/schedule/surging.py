"""Make before break within a choice: replicas that move to other clusters go when those are ready there.

1. A step of `rebalance` adds where replicas go to and leaves as many behind where they come from
   (`Memory.surge`), so at no time are fewer planned or ready than wanted because we chose to move them.
2. What was left behind goes, all at once, when each share is ready; while any is, no further step is taken.
3. It is no part of the division: who divides sees the placement as if it had gone.
4. It goes at once where `purge: Immediately` says so, where the cluster is no more or serves nobody, where a
   new spec has no right to be, and as far as a higher priority takes its room.
"""

from collections.abc import Mapping, Set

from msgspec.structs import replace

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.sharing import Shares
from mesh_placement.schedule.snapshot import Share, Wanted

_SERVES_NOBODY = ("Dead", "DataPlaneDown")


def without_surge(wanted: Wanted) -> Wanted:
    """As if what was left behind had gone."""
    surge = wanted.memory.surge
    if not surge:
        return wanted
    left = [replace(one, replicas=(one.replicas or 0) - _behind(one, surge)) for one in wanted.current]
    return replace(wanted, current=tuple(one for one in left if one.replicas or one.cluster not in surge))


def surge_after(
    look: Look,
    wanted: Wanted,
    shares: Shares,
    *,
    moved: Mapping[str, int],
    most: Mapping[tuple[str, str], int],
    barred: Set[str] = frozenset(),
) -> dict[str, int]:
    """What is left behind by cluster: `shares` is the decision without it, `moved` what a step takes away
    now, `most` what a higher priority leaves, `barred` where it has no right to be."""
    if wanted.spec.failover.purge == "Immediately" or not (moved or wanted.memory.surge):
        return {}
    there = {one.cluster: one for one in wanted.current}
    before = {one.cluster: _behind(one, wanted.memory.surge) for one in wanted.current}
    if not moved and all(_is_ready(there.get(name), count) for name, count in shares.items()):
        return {}
    found = {}
    for name in sorted({*before, *moved}):
        cluster = look.clusters.get(name)
        count = before.get(name, 0) + moved.get(name, 0)
        limit = most.get((wanted.name, name))
        if limit is not None:
            count = min(count, limit - (shares.get(name) or 0))
        if name in barred:
            continue
        if count > 0 and cluster is not None and cluster.standing not in _SERVES_NOBODY:
            found[name] = count
    return found


def surge_within(wanted: Wanted, held: Shares) -> dict[str, int]:
    """What is left behind of what waits as it is, in `held`: where it has less, that went first."""
    found = {}
    for share in wanted.current:
        behind = _behind(share, wanted.memory.surge)
        count = min(behind, (held.get(share.cluster) or 0) - (share.replicas or 0) + behind)
        if count > 0:
            found[share.cluster] = count
    return found


def with_surge(shares: Shares, surge: Mapping[str, int]) -> Shares:
    """What is placed in all."""
    if not surge:
        return shares
    return {**shares, **{name: (shares.get(name) or 0) + count for name, count in surge.items()}}


def _behind(share: Share, surge: Mapping[str, int]) -> int:
    return min(share.replicas or 0, max(0, surge.get(share.cluster, 0)))


def _is_ready(share: Share | None, count: int | None) -> bool:
    return share is not None and share.verified is not False and share.ready >= (count or 0)

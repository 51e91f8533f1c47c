"""Whether a changed capacity is worth a write to the hub, and how soon.

1. At most one write in `REST` seconds, but for what somebody waits for.
2. A number that moved by a twentieth, other warnings or another number of nodes are news.
3. What moved by less is written when `SLOW` seconds are over, so that nothing stays wrong for long.
4. A revision whose pods are counted now is waited for by a reservation: `SOON`. So is a namespace, by what is
   to be put there, but some clusters make and delete them all day: `NAMES`.
"""

from collections.abc import Mapping

from mesh_placement.decide.quantity import Rounding, thousandths
from mesh_placement.objects import ClusterCapacityStatus

REST = 30.0
SLOW = 300.0
SOON = 2.0
NAMES = 10.0
_SHARE = 20


def seconds_until_write(
    seen: ClusterCapacityStatus | None, wanted: ClusterCapacityStatus, *, since_last: float | None
) -> float | None:
    """Seconds until `wanted` is to be written over `seen` (None: nothing is there); None for never.

    `since_last` are the seconds since our last write, None when there was none.
    """
    if seen == wanted:
        return None
    if seen is None or since_last is None:
        return 0.0
    return max(0.0, _rest(seen, wanted) - since_last)


def is_news(seen: ClusterCapacityStatus, wanted: ClusterCapacityStatus) -> bool:
    """Law 2."""
    said = (seen.nodes, seen.warnings, seen.observed_assignments)
    if said != (wanted.nodes, wanted.warnings, wanted.observed_assignments):
        return True
    return any(
        _moved(old, new)
        for old, new in (
            (seen.total, wanted.total),
            (seen.available, wanted.available),
            (seen.continuous, wanted.continuous),
        )
    )


def _rest(seen: ClusterCapacityStatus, wanted: ClusterCapacityStatus) -> float:
    before = seen.observed_assignments
    if any(revision > before.get(name, 0) for name, revision in wanted.observed_assignments.items()):
        return SOON
    if (seen.namespaces, seen.storage_classes) != (wanted.namespaces, wanted.storage_classes):
        return NAMES
    return REST if is_news(seen, wanted) else SLOW


def _moved(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    if old.keys() != new.keys():
        return True
    return any(_has_moved(_number(old[name]), _number(new[name])) for name in old)


def _has_moved(old: int, new: int) -> bool:
    return old != new and abs(new - old) * _SHARE >= old


def _number(text: str) -> int:
    return thousandths(text, rounding=Rounding.DOWN) or 0

"""Which clusters' rows are other objects than they were: what was worked out of all others still holds.

Rows are never changed, so the same object is the same row; snapshots give it again while nothing of the
cluster changes (`seen_clusters`).
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import compress
from operator import is_not
from typing import Final

from msgspec import Struct

from mesh_placement.schedule.snapshot import Cluster

_NOTHING: Final = object()


class Change(Struct, frozen=True):
    """From the rows `before`: `news` are there now and were not, `gone` are names that are there no more.

    `before` is kept alive here, so that nothing else gets its identity.
    """

    before: Sequence[Cluster]
    news: tuple[Cluster, ...]
    gone: tuple[str, ...]


def change_between(before: Sequence[Cluster], after: Sequence[Cluster]) -> Change:
    """Both are in the order of names."""
    if len(before) == len(after):
        positions = list(compress(range(len(after)), map(is_not, before, after)))
        if all(before[at].name == after[at].name for at in positions):
            return Change(before, tuple([after[at] for at in positions]), ())
    old = {one.name: one for one in before}
    news = tuple([one for one in after if old.pop(one.name, None) is not one])
    # What was another row of the same name is taken out above; the rest are gone.
    return Change(before, news, tuple(old))


def differing(before: Mapping[str, object], after: Mapping[str, object]) -> Collection[str]:
    """Names of which the two say something else; what is the very same is not compared any further."""
    if before is after:
        return ()
    # Not by the identity of names: a row that was read anew has another text with the same letters.
    if len(before) == len(after) and list(before) == list(after):
        others = compress(after, map(is_not, before.values(), after.values()))
        return [one for one in others if before[one] != after[one]]
    return [one for one in {**before, **after} if before.get(one, _NOTHING) != after.get(one, _NOTHING)]

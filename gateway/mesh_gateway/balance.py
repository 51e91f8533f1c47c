"""Whose turn it is: among the clusters that serve a name, and among the local endpoints behind it.

1. Clusters take turns by smooth weighted round robin: of any `sum(weights)` picks in a row with the same
   weights each cluster gets exactly its weight, and they come interleaved rather than in runs.
2. A local endpoint is the one with the fewest open connections; equals take turns. Of a great many a part
   is compared, another one each time.
3. State is passed in and handed back; the same state and targets give the same answer.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mesh_core.identity import ClusterId

E = TypeVar("E")

# Two random ones are known to be nearly as good as all (Mitzenmacher 2001); this bounds the time of a choice.
_LOOKED_AT = 16


@dataclass(frozen=True, slots=True)
class Weighted:
    """A cluster and how many ready endpoints it has behind the port; the weight is positive."""

    cluster: ClusterId
    weight: int


@dataclass(frozen=True, slots=True)
class Turn:
    """`order` is whom to try, best first; `credit` goes into the next call, by cluster."""

    order: tuple[ClusterId, ...]
    credit: Mapping[ClusterId, int]


def next_turn(targets: Sequence[Weighted], *, credit: Mapping[ClusterId, int]) -> Turn:
    """The clusters in the order in which the next connection tries them.

    Credit of clusters that are no longer among the targets is dropped; a new one starts at nought.
    """
    total = sum(target.weight for target in targets)
    grown = {target.cluster: credit.get(target.cluster, 0) + target.weight for target in targets}
    # The name breaks ties, so that two gateways with one table make the same choice.
    order = tuple(sorted(grown, key=lambda cluster: (-grown[cluster], cluster)))
    if order:
        grown[order[0]] -= total
    return Turn(order=order, credit=grown)


def least_open(
    endpoints: Sequence[E],
    *,
    open_streams: Mapping[E, int],
    pending: Mapping[E, int],
    turn: int,
    without: Container[E],
) -> E | None:
    """The endpoint with the fewest streams, open or pending; None when all of them are in `without`.

    `turn` is any number that grows by one with each call: it says where the search begins. Of more than
    `_LOOKED_AT` endpoints only so many are compared, beginning there.
    """
    best: E | None = None
    fewest = 0
    found = 0
    count = len(endpoints)
    for step in range(turn, turn + count):
        endpoint = endpoints[step % count]
        if endpoint in without:
            continue
        streams = open_streams.get(endpoint, 0) + pending.get(endpoint, 0)
        if best is None or streams < fewest:
            best, fewest = endpoint, streams
        found += 1
        if streams == 0 or found == _LOOKED_AT:
            break
    return best

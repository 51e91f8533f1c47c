"""Whose turn it is: among the clusters that serve a name, and among the local endpoints behind it.

1. Clusters take turns by smooth weighted round robin: of any `sum(weights)` picks in a row with the same
   weights each cluster gets exactly its weight, and they come interleaved rather than in runs.
2. A local endpoint is the one with the fewest open connections; equals take turns.
3. State is passed in and handed back; the same state and targets give the same answer.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeVar

from mesh_core.identity import ClusterId

E = TypeVar("E")


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
    endpoints: Sequence[E], *, open_streams: Mapping[E, int], turn: int, without: AbstractSet[E]
) -> E | None:
    """The endpoint with the fewest open streams; None when all of them are in `without`.

    `turn` is any number that grows by one with each call: it says where the search begins.
    """
    best: E | None = None
    fewest = 0
    start = turn % len(endpoints) if endpoints else 0
    for endpoint in (*endpoints[start:], *endpoints[:start]):
        if endpoint in without:
            continue
        streams = open_streams.get(endpoint, 0)
        if best is None or streams < fewest:
            best, fewest = endpoint, streams
    return best

"""How many Placements a hub schedules: what one tenant makes must not keep the others waiting.

1. Of a namespace the oldest `IN_A_NAMESPACE`; of all namespaces `IN_ALL`, those first that have few.
2. What is placed stays placed, whoever came before.

A ResourceQuota on `count/placements.placement.meshctl.dev` refuses them earlier, to who makes them.
"""

from collections.abc import Iterable
from typing import Final

from mesh_placement.decide.placement_refusal import PlacementReason, PlacementRefusal
from mesh_placement.objects import Placement

IN_A_NAMESPACE: Final = 1_000
IN_ALL: Final = 10_000

TOO_MANY: Final = PlacementRefusal(
    PlacementReason.TOO_MANY,
    f"this hub schedules the {IN_A_NAMESPACE} oldest Placements of a namespace, and {IN_ALL} in all; delete "
    "some of this namespace, or have its owner ask for another hub",
)


def beyond(
    placements: Iterable[Placement], *, in_a_namespace: int = IN_A_NAMESPACE, in_all: int = IN_ALL
) -> frozenset[tuple[str, str]]:
    """Those that are not scheduled, by namespace and name."""
    spaces: dict[str, list[Placement]] = {}
    for one in placements:
        spaces.setdefault(one.metadata.namespace, []).append(one)
    turns: list[tuple[int, Placement]] = []
    for some in spaces.values():
        some.sort(key=lambda one: (not one.status.clusters, *_age(one)))
        turns += enumerate(some)
    turns.sort(key=lambda turn: (not turn[1].status.clusters, turn[0], *_age(turn[1])))
    return frozenset(
        one.key
        for number, (turn, one) in enumerate(turns)
        if not one.status.clusters and (turn >= in_a_namespace or number >= in_all)
    )


def _age(one: Placement) -> tuple[str, str, str]:
    return one.metadata.creation_timestamp, one.metadata.namespace, one.metadata.name

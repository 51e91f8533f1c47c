"""PlacementDecisions of one Placement: for foreign tools, which clusters were chosen (KEP-5313).

1. At most `MOST` clusters in each, in the order of their names, so that equal decisions are equal objects.
2. All of a decision have one key, one revision and their places; a reader waits until they agree.
3. Nothing is counted in them, and one that has no cluster says that there is none.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from mesh_core.objects import Meta
from mesh_core.plan import Json
from mesh_placement.names import (
    CLUSTER_MANAGER,
    LABEL_DECISION_INDEX,
    LABEL_DECISION_KEY,
    LABEL_DECISION_REVISION,
    LABEL_PLACEMENT_KEY,
)
from mesh_placement.objects import ClusterDecision, ClusterProfileReference, PlacementDecision

MOST: Final = 100


def decision_slices(
    placement: Meta, *, revision: int, chosen: Mapping[str, str], reasons: Mapping[str, str]
) -> tuple[PlacementDecision, ...]:
    """What is to be there; `chosen` is the namespace of each cluster's ClusterProfile, `reasons` its word."""
    entries = [
        ClusterDecision(
            cluster_profile_ref=ClusterProfileReference(name=cluster, namespace=chosen[cluster]),
            reason=reasons.get(cluster, ""),
        )
        for cluster in sorted(chosen)
    ]
    return tuple(
        PlacementDecision(
            metadata=Meta(
                name=f"{placement.name}-{number}",
                namespace=placement.namespace,
                labels={
                    LABEL_DECISION_KEY: placement.uid,
                    LABEL_DECISION_INDEX: str(number),
                    LABEL_DECISION_REVISION: str(revision),
                    LABEL_PLACEMENT_KEY: placement.name,
                },
            ),
            decisions=tuple(entries[start : start + MOST]),
            scheduler_name=CLUSTER_MANAGER,
        )
        for number, start in enumerate(range(0, max(len(entries), 1), MOST))
    )


def is_same(one: PlacementDecision, other: PlacementDecision | None) -> bool:
    """Whether what is there needs no writing."""
    return (
        other is not None
        and (one.decisions, one.scheduler_name) == (other.decisions, other.scheduler_name)
        and one.metadata.labels.items() <= other.metadata.labels.items()
    )


def slice_body(one: PlacementDecision) -> Json:
    """As it is written."""
    meta = one.metadata
    return {
        "metadata": {"name": meta.name, "namespace": meta.namespace, "labels": dict(meta.labels)},
        "schedulerName": one.scheduler_name,
        "decisions": [_entry(each) for each in one.decisions],
    }


def is_ours(one: PlacementDecision, *, placement: Meta) -> bool:
    """Whether it is of that Placement, or of an earlier one of its name, and by us."""
    same_name = one.metadata.labels.get(LABEL_PLACEMENT_KEY) == placement.name
    return same_name and one.scheduler_name == CLUSTER_MANAGER


def surplus(
    there: Sequence[PlacementDecision], *, wanted: Sequence[PlacementDecision], placement: Meta
) -> list[PlacementDecision]:
    """Those of the Placement that are no part of it any more."""
    names = {one.metadata.name for one in wanted}
    return [one for one in there if is_ours(one, placement=placement) and one.metadata.name not in names]


def _entry(one: ClusterDecision) -> Json:
    ref = one.cluster_profile_ref
    body: Json = {"clusterProfileRef": {"name": ref.name, "namespace": ref.namespace}}
    return {**body, "reason": one.reason} if one.reason else body

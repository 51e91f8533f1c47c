"""What a decision makes of a Placement's status. The status is the decision: all else is written after it.

1. The revision grows with each change of clusters, replicas, spec or what comes along, and never goes back:
   `least_revision` is the greatest that a member was given, should the Placement have been made anew from an
   old copy.
2. What is held stays where it is, and gets what the spec brings by now: nobody waits for a new image because
   clusters are waited for. Until nothing is held or leaving, the spec counts as not decided.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from mesh_core.conditions import rfc3339
from mesh_placement.decide.moves import moves, with_moves
from mesh_placement.decide.placement_conditions import scheduled, with_conditions
from mesh_placement.objects import PlacedCluster, Placement, PlacementStatus
from mesh_placement.schedule.plan import Decision


def decided_status(
    placement: Placement, decision: Decision, *, least_revision: int, now: datetime, content: str = ""
) -> PlacementStatus:
    """The status after `decision`, which was made of the Placement as it is; `content` stands for what it
    takes along of the hub."""
    before, generation = placement.status, placement.metadata.generation
    memory = msgspec.to_builtins(decision.memory)
    is_held = bool(decision.hold) and not decision.changes
    if is_held and not before.clusters:
        nowhere = msgspec.structs.replace(
            before, memory=memory, wanted=decision.wanted, shortfall=decision.shortfall
        )
        return _with_condition(nowhere, decision, generation=generation, now=now)
    old: dict[str, int | None] = {one.cluster: one.replicas for one in before.clusters}
    new = old if is_held else {one.cluster: one.replicas for one in decision.placed}
    is_new = old != new or (before.observed_generation, before.content) != (generation, content)
    steps = moves(old, new, time=rfc3339(now), cause=decision.cause)
    status = msgspec.structs.replace(
        before,
        observed_generation=generation,
        decided_generation=before.decided_generation if is_held or decision.leaving else generation,
        revision=max(before.revision, least_revision) + 1 if is_new else before.revision,
        wanted=before.wanted if is_held else decision.wanted,
        shortfall=before.shortfall if is_held else decision.shortfall,
        clusters=_clusters(before, new, now=now),
        content=content,
        history=with_moves(before.history, steps),
        memory=memory,
    )
    return _with_condition(status, decision, generation=generation, now=now)


def _with_condition(
    status: PlacementStatus, decision: Decision, *, generation: int, now: datetime
) -> PlacementStatus:
    wanted = scheduled(
        status,
        verdicts=decision.verdicts,
        hold=decision.hold,
        is_tried=bool(decision.probes),
        generation=generation,
    )
    return with_conditions(status, (wanted,), now=now)


def _clusters(
    before: PlacementStatus, placed: Mapping[str, int | None], *, now: datetime
) -> tuple[PlacedCluster, ...]:
    old = {one.cluster: one for one in before.clusters}
    found = []
    for cluster in sorted(placed):
        known, count = old.get(cluster), placed[cluster]
        if known is None:
            known = PlacedCluster(cluster=cluster)
        since = known.since if known.since and known.replicas == count else rfc3339(now)
        found.append(msgspec.structs.replace(known, replicas=count, since=since))
    return tuple(found)

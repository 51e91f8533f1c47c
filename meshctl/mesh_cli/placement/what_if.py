"""The scheduler on a hub as it is and as it would be. Pure: no hub is asked, none is changed."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from mesh_cli.placement.hub_snapshot import HubObjects, hub_snapshot
from mesh_core.conditions import rfc3339
from mesh_core.errors import UserError
from mesh_placement.decide.placement_refusal import refusal_of_placement
from mesh_placement.hub.placing.cycle import Scheduling
from mesh_placement.objects import Placement
from mesh_placement.schedule.plan import Decision, Plan
from mesh_placement.schedule.snapshot import Snapshot
from mesh_placement.schedule.snapshotting import text_of
from mesh_placement.schedule.what_if import changed


class NotDecided(UserError):
    """The scheduler says nothing of that Placement."""

    def __init__(self, placement: str) -> None:
        super().__init__(
            f"the scheduler does not decide about {placement}",
            next_step=f"see what is wrong with it with meshctl explain placement {placement}; of one with "
            "resourceSelectors only that tells",
        )


class NotPlaced(UserError):
    """The hub would place it nowhere, for what it brings."""

    def __init__(self, placement: str, *, why: str) -> None:
        super().__init__(f"{placement} would be refused", next_step=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """Two decisions about one Placement: without the changes and with them. `others` are the Placements of
    which the clusters or replicas would be others too."""

    changes: tuple[str, ...]
    now: Decision
    then: Decision
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would be decided about Placements that are not applied yet; `others` as in `WhatIf`."""

    decisions: tuple[Decision, ...]
    others: tuple[str, ...]


def what_if(
    snapshot: Snapshot, changes: Sequence[str], *, placement: str, schedule: Callable[[Snapshot], Plan]
) -> WhatIf:
    """What one next cycle decides, with the changes and without; raises NotUnderstood, NotDecided."""
    now, then = _by_name(schedule(snapshot)), _by_name(schedule(changed(snapshot, changes)))
    if placement not in now or placement not in then:
        raise NotDecided(placement)
    return WhatIf(
        changes=tuple(changes),
        now=now[placement],
        then=then[placement],
        others=_others(now, then, but=(placement,)),
    )


def foreseen(
    hub: HubObjects, wished: Iterable[Placement], *, scheduling: Scheduling, now: datetime
) -> Foreseen:
    """What the next cycle decides if `wished` are applied now; raises NotPlaced."""
    asked = [_applied(one, hub.placement(one.key), now=now) for one in wished]
    for one in asked:
        if one.spec.resource_selectors:
            why = "what resourceSelectors mean is not read here; apply it, and see meshctl explain placement"
            raise NotPlaced(text_of(one), why=why)
        refusal = refusal_of_placement(one.spec)
        if refusal is not None:
            raise NotPlaced(text_of(one), why=refusal.message)
    before = scheduling.schedule(hub_snapshot(hub, scheduling=scheduling, now=now))
    after = scheduling.schedule(hub_snapshot(hub.with_placements(asked), scheduling=scheduling, now=now))
    names = [text_of(one) for one in asked]
    then = _by_name(after)
    return Foreseen(
        tuple(then[name] for name in names if name in then), _others(_by_name(before), then, but=names)
    )


def _applied(wished: Placement, there: Placement | None, *, now: datetime) -> Placement:
    """As the API server would have it; the UID of a new one, by which ties are broken, nobody knows yet."""
    if there is None:
        meta = replace(wished.metadata, uid=text_of(wished), generation=1, creation_timestamp=rfc3339(now))
        return Placement(metadata=meta, spec=wished.spec)
    grown = there.metadata.generation + (wished.spec != there.spec)
    return replace(there, metadata=replace(there.metadata, generation=grown), spec=wished.spec)


def _others(now: dict[str, Decision], then: dict[str, Decision], *, but: Collection[str]) -> tuple[str, ...]:
    return tuple(
        name
        for name in sorted(now.keys() & then.keys())
        if name not in but and now[name].placed != then[name].placed
    )


def _by_name(plan: Plan) -> dict[str, Decision]:
    return {one.placement: one for one in plan.decisions}

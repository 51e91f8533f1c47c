"""One pass over one unit: what is wanted and lacking is applied, rank by rank; what is wanted no longer goes.

1. The inventory names an object before it is applied, and until it is gone.
2. A rank begins when the one before is in the member, in all Works of the Assignment.
3. Nobody's object is touched, and nobody's field taken, unless the Assignment says so (`takeOver`).
4. What is as it was left costs no request.
5. What is fenced is left alone until its agent lets it go (`agent.fencing`); taken back it may be.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mesh_placement.decide.gates import Kind, Need
from mesh_placement.decide.inventory import Ref
from mesh_placement.decide.manifests import cleaned, digest
from mesh_placement.decide.ranks import RANKS
from mesh_placement.decide.reasons import Reason
from mesh_placement.decide.work_plan import Wanted
from mesh_placement.decide.work_status import ObjectState, waiting
from mesh_placement.deliver.kinds import Kinds
from mesh_placement.deliver.reading import blank
from mesh_placement.deliver.remover import Remover
from mesh_placement.deliver.step import Place, Stepper
from mesh_placement.deliver.store import Store
from mesh_placement.deliver.view import HubView, Unit
from mesh_placement.deliver.watches import Watches
from mesh_placement.objects import AppliedResource
from mesh_runtime.side_by_side import side_by_side

_AT_ONCE = 4
FENCE = "Fence"
"""What a unit waits for whose agent was seen by nobody for too long."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The objects of a unit that can be addressed, and the states of those that cannot."""

    places: tuple[Place, ...]
    states: tuple[ObjectState, ...]
    needs: frozenset[Need]


class Applier:
    """Applies units."""

    def __init__(
        self,
        *,
        view: HubView,
        store: Store,
        kinds: Kinds,
        stepper: Stepper,
        watches: Watches,
        remover: Remover,
        look: Callable[[str], None],
    ) -> None:
        self._view = view
        self._store = store
        self._kinds = kinds
        self._stepper = stepper
        self._watches = watches
        self._remover = remover
        self._look = look
        # By unit: what it was made of, and its lowest rank that is not in the member yet.
        self._behind: dict[str, tuple[tuple[int, int], int]] = {}

    async def apply(self, unit: Unit) -> tuple[ObjectState, ...]:
        """How all objects are afterwards; raises ApiError for the inventory's sake, and Unreachable."""
        if unit.waits_for:
            return tuple(_held_back(one, unit.waits_for) for one in unit.wanted)
        if self._store.is_fenced(unit.name):
            return tuple(_held_back(one, FENCE) for one in unit.wanted)
        placed = await self._place(unit)
        await self._intend(unit, placed.places)
        states, needs = await self._by_rank(unit, placed)
        for need in needs:
            self._watches.wait(unit.name, need, user=unit.settings.user, look=self._look)
        self._watches.through(unit.name, but=needs)
        self._progress(unit, states)
        await self._settle(unit, placed.places, states)
        return tuple(sorted(states, key=lambda one: one.ordinal))

    def forget(self, name: str) -> None:
        """The unit is gone."""
        self._behind.pop(name, None)
        self._watches.through(name)

    async def _place(self, unit: Unit) -> Placed:
        places: list[Place] = []
        states: list[ObjectState] = []
        needs: set[Need] = set()
        held = self._store.held(unit.name)
        for wanted in unit.wanted:
            if wanted.refusal is not None or wanted.one is None:
                states.append(_refused(wanted))
                continue
            rival = self._view.rival_of(unit, wanted)
            if rival:
                message = f"{wanted.one}: the older Work {rival} brings it differently; take it out of one"
                states.append(replace(blank(wanted), reason=Reason.CONFLICT, message=message))
                continue
            resource = await self._kinds.of(wanted.one)
            if resource is None:
                definition = self._view.definition_of(wanted.one)
                if definition:
                    needs.add(Need(Kind.CRD, definition))
                what = f"/{definition}" if definition else f" of {wanted.one.kind}.{wanted.one.group}"
                states.append(_held_back(wanted, f"CustomResourceDefinition{what}"))
                continue
            namespace = (wanted.one.namespace or "default") if resource.namespaced else ""
            ref = Ref(resource.group, resource.plural, namespace, wanted.one.name)
            manifest = cleaned(wanted.manifest, namespace=namespace)
            known = ref in held and bool(held[ref].uid)
            mark = digest({"manifest": manifest, "as": unit.settings.user, "how": unit.settings.take_over})
            places.append(Place(wanted, resource, ref, manifest, mark, known))
        return Placed(tuple(places), tuple(states), frozenset(needs))

    async def _intend(self, unit: Unit, places: Sequence[Place]) -> None:
        held = self._store.held(unit.name)
        entries = [held.get(place.ref) or _entry(place, uid="") for place in places]
        if entries or self._store.has(unit.name):
            await self._store.intend(unit.name, entries, user=unit.settings.user)

    async def _by_rank(self, unit: Unit, placed: Placed) -> tuple[list[ObjectState], frozenset[Need]]:
        states = list(placed.states)
        ranks = {wanted.ordinal: wanted.rank for wanted in unit.wanted}
        needs = set(placed.needs)
        for rank in range(RANKS):
            here = [place for place in placed.places if place.wanted.rank == rank]
            todo = [place for place in here if self._take_known(unit, place, states) is None]
            if not todo:
                continue
            obstacle = next(
                (str(one.one) for one in states if ranks[one.ordinal] < rank and not one.is_there), ""
            ) or self._companion_behind(unit, rank)
            if obstacle:
                states += [_held_back(place.wanted, obstacle) for place in todo]
                continue
            taken = await side_by_side(
                (self._stepper.take(place, settings=unit.settings) for place in todo), at_once=_AT_ONCE
            )
            states += [state for state, _ in taken]
            needs |= {need for _, need in taken if need is not None}
        return states, frozenset(needs)

    def _take_known(self, unit: Unit, place: Place, states: list[ObjectState]) -> ObjectState | None:
        state = self._stepper.known(place, settings=unit.settings)
        if state is not None:
            states.append(state)
        return state

    def _companion_behind(self, unit: Unit, rank: int) -> str:
        """A unit of the same Assignment that lacks something of a lower rank."""
        assignment = unit.settings.assignment
        for name in self._view.units_of(assignment) if assignment is not None else ():
            if name == unit.name:
                continue
            other = self._view.unit(name)
            if other is None:
                return f"Work/{name}"
            stamp, behind = self._behind.get(name, ((-1, -1), 0))
            if stamp != other.stamp:
                behind = other.lowest_rank
            if behind < rank and not other.is_leaving:
                return f"Work/{name}"
        return ""

    def _progress(self, unit: Unit, states: Sequence[ObjectState]) -> None:
        ranks = {wanted.ordinal: wanted.rank for wanted in unit.wanted}
        behind = min((ranks[one.ordinal] for one in states if not one.is_there), default=RANKS)
        now = unit.stamp, behind
        if self._behind.get(unit.name) == now:
            return
        self._behind[unit.name] = now
        assignment = unit.settings.assignment
        for name in self._view.units_of(assignment) if assignment is not None else ():
            if name != unit.name:
                self._look(name)

    async def _settle(self, unit: Unit, places: Sequence[Place], states: Sequence[ObjectState]) -> None:
        """Delete what is no longer wanted, once all else is there; then write the inventory as it is."""
        if not self._store.has(unit.name):
            return
        held = self._store.held(unit.name)
        by_ordinal = {one.ordinal: one for one in states}
        kept: dict[Ref, AppliedResource] = {}
        for place in places:
            state, uid = by_ordinal[place.wanted.ordinal], self._stepper.uid_of(place)
            known = held.get(place.ref)
            if uid or state.reason is not Reason.CONFLICT or (known is not None and known.uid):
                kept[place.ref] = _entry(place, uid=uid or (known.uid if known is not None else ""))
        stale = [entry for ref, entry in held.items() if ref not in {place.ref for place in places}]
        if stale and all(one.is_there for one in states) and not self._view.is_being_rewritten(unit):
            still = await self._remover.take_back(unit.name, stale)
            stale = [entry for ref, entry in held.items() if ref in {*still.ending, *still.awaited}]
        kept.update((Ref(one.group, one.resource, one.namespace, one.name), one) for one in stale)
        await self._store.write(unit.name, kept.values())
        self._remover.has_let_go(unit.name)


def _entry(place: Place, *, uid: str) -> AppliedResource:
    ref = place.ref
    return AppliedResource(
        ordinal=place.wanted.ordinal,
        kind=place.resource.kind,
        version=place.resource.version,
        group=ref.group,
        resource=ref.resource,
        namespace=ref.namespace,
        name=ref.name,
        uid=uid,
    )


def _held_back(wanted: Wanted, what: str) -> ObjectState:
    return waiting(blank(wanted), what=what)


def _refused(wanted: Wanted) -> ObjectState:
    assert wanted.refusal is not None, "who has no name is refused"
    return replace(blank(wanted), reason=wanted.refusal.reason, message=wanted.refusal.message)

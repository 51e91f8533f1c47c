"""Placements as they are given to clusters: with what they take along of the hub (`schedule.bringing`).

1. While something was not read yet, what was found before counts; where nothing was, nothing is given.
2. What was given from here once, and may not be read any more, is held: a right that was taken away by
   mistake deletes nothing in a member.
3. What comes along follows from what the Placement itself says. Whoever writes it has it `filled`, and asks
   again while the hub's objects change: what came along before is nothing that it says.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from mesh_placement.decide.placement_conditions import Along
from mesh_placement.decide.placement_refusal import (
    PlacementRefusal,
    refusal_of_placement,
    takes_part,
)
from mesh_placement.hub.placing.held import Name
from mesh_placement.hub.placing.known_placements import Key
from mesh_placement.hub.placing.sources import Sources
from mesh_placement.objects import Manifest, Placement
from mesh_placement.schedule.bringing import NOTHING, Brought, bring, kinds_in, select, together
from mesh_placement.schedule.ruled import NO_RULES, Rules

Stamp = tuple[str, int, bool, Rules]
"""Of which object it was made, in which generation, whether the hub was dedicated, and by which rules."""


class Bringer:
    """One a term of leadership. `changed` is told of which Placement it is to be looked at again;
    `is_dedicated` says whether the hub runs no workloads, so that templates may lie there; `rules` are
    those of its ResourceInterpreters, the same object while they say the same."""

    def __init__(
        self,
        sources: Sources,
        *,
        is_dedicated: Callable[[], bool],
        changed: Callable[[Key], None],
        rules: Callable[[], Rules] = lambda: NO_RULES,
    ) -> None:
        self.is_dedicated = is_dedicated
        self._rules = rules
        self._changed = changed
        self._sources = sources
        self._made: dict[Key, tuple[Stamp, Brought]] = {}
        # Law 3: uid and generation, and the manifests of that spec.
        self._said: dict[Key, tuple[tuple[str, int], tuple[Manifest, ...]]] = {}
        self._stale: set[Key] = set()
        sources.follow(self._source_changed)

    def takes(self, placement: Placement) -> bool:
        """Whether anything of the hub comes along."""
        spec = placement.spec
        return spec.dependencies == "Auto" or bool(spec.resource_selectors and self.is_dedicated())

    def brought(self, placement: Placement) -> Brought:
        """What it selects, and what comes along."""
        if not self.takes(placement):
            return NOTHING
        key, meta = placement.key, placement.metadata
        stamp = meta.uid, meta.generation, self.is_dedicated(), self._rules()
        kept = self._made.get(key)
        if kept is not None and kept[0] == stamp and key not in self._stale:
            return kept[1]
        said = self._said.get(key)
        if said is None or said[0] != (meta.uid, meta.generation):
            return self._bring(placement, placement.spec.manifests)  # of another one, or nobody attends to it
        made = self._bring(placement, said[1])
        if made.is_unread and kept is not None and kept[0] == stamp and not kept[1].is_unread:
            made = dataclasses.replace(kept[1], asked=kept[1].asked | made.asked)  # law 1
        self._stale.discard(key)
        self._made[key] = stamp, made
        return made

    def filled(self, placement: Placement) -> Placement:
        """The Placement, as it was read, with all that it gives to clusters among its manifests."""
        if self.takes(placement):
            meta = placement.metadata
            self._said[placement.key] = (meta.uid, meta.generation), placement.spec.manifests
        more = self.brought(placement).manifests
        if not more:
            return placement
        spec = placement.spec
        return replace(placement, spec=replace(spec, manifests=(*spec.manifests, *more)))

    def is_held(self, placement: Placement) -> bool:
        """Whether members keep what they have: laws 1 and 2."""
        made = self.brought(placement)
        return made.is_unread or not kinds_in(placement.status.content).isdisjoint(made.forbidden)

    def along(self, placement: Placement) -> Along | None:
        """The same in counts and names, once it is known."""
        made = self.brought(placement)
        if made.is_unread:
            return None
        return Along(
            namespace=placement.metadata.namespace,
            objects=len(made.manifests),
            secrets=len(made.secrets),
            missing=made.missing,
            forbidden=made.forbidden,
            too_much=made.too_much,
        )

    def refusal(self, placement: Placement) -> PlacementRefusal | None:
        """Why it cannot be placed anywhere, for what it brings."""
        dedicated = self.is_dedicated()
        return refusal_of_placement(placement.spec, dedicated=dedicated) or self.brought(placement).refusal

    def takes_part(self, placement: Placement) -> bool:
        """Whether it is scheduled; what is placed keeps its room until it is known what it brings."""
        if not takes_part(placement, dedicated=self.is_dedicated()):
            return False
        return bool(placement.status.clusters) or self._is_ready(placement)

    def stays(self, placement: Placement) -> bool:
        """Whether it is where it is, whatever would be decided: nobody carries that out. What is being
        deleted only goes: it comes nowhere else, and nobody makes room for it."""
        is_going = placement.metadata.deletion_timestamp is not None
        return bool(placement.status.clusters) and (is_going or not self._is_ready(placement))

    def attend(self, placements: Iterable[Placement]) -> None:
        """These are all that there are."""
        asking = {one.key for one in placements if self.takes(one)}
        for key in [key for key in self._made if key not in asking]:
            del self._made[key]
        self._sources.attend({namespace for namespace, _ in asking}, asked=self._asked)
        for key in [key for key in self._said if key not in asking]:
            del self._said[key]
        self._stale &= asking

    def _asked(self) -> set[Name]:
        return {(kind, key[0], name) for key, (_, made) in self._made.items() for kind, name in made.asked}

    def _is_ready(self, placement: Placement) -> bool:
        return self.refusal(placement) is None and not self.is_held(placement)

    def _bring(self, placement: Placement, manifests: Sequence[Manifest]) -> Brought:
        spec, namespace, templates = placement.spec, placement.metadata.namespace, NOTHING
        if spec.resource_selectors and self.is_dedicated():
            chosen = self._sources.select(spec.resource_selectors, namespace=namespace)
            templates = select(chosen, namespace=namespace)
        if spec.dependencies != "Auto":
            return together(templates, NOTHING)
        along = bring(
            (*manifests, *templates.manifests),
            namespace=namespace,
            account=spec.service_account,
            find=lambda kind, name: self._sources.find(kind, name, namespace=namespace),
            rules=self._rules(),
        )
        return together(templates, along)

    def _source_changed(self, at: Name) -> None:
        kind, namespace, name = at
        for key, (_, made) in self._made.items():
            if key[0] != namespace or key in self._stale:
                continue
            is_asked = not made.asked.isdisjoint({(kind, name), (kind, "")})
            if is_asked or (not name and any(one == kind for one, _ in made.asked)):
                self._stale.add(key)
                self._changed(key)

"""Placements as they are given to clusters: with what they take along of the hub (`schedule.bringing`).

1. While something was not read yet, what was found before counts; where nothing was, nothing is given.
2. What was given from here once, and may not be read any more, is held: a right that was taken away by
   mistake deletes nothing in a member.
"""

import dataclasses
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from mesh_placement.decide.placement_conditions import Along
from mesh_placement.hub.known_placements import Key
from mesh_placement.hub.sources import Name, Sources
from mesh_placement.objects import Placement
from mesh_placement.schedule.bringing import NOTHING, Brought, bring, kinds_in

Stamp = tuple[str, int]


class Bringer:
    """One a term of leadership. `changed` is told of which Placement it is to be looked at again."""

    def __init__(self, sources: Sources, *, changed: Callable[[Key], None]) -> None:
        self._changed = changed
        self._sources = sources
        self._made: dict[Key, tuple[Stamp, Brought]] = {}
        self._stale: set[Key] = set()
        sources.follow(self._source_changed)

    def brought(self, placement: Placement) -> Brought:
        """What comes along with it."""
        if placement.spec.dependencies != "Auto":
            return NOTHING
        key, stamp = placement.key, (placement.metadata.uid, placement.metadata.generation)
        kept = self._made.get(key)
        if kept is not None and kept[0] == stamp and key not in self._stale:
            return kept[1]
        namespace = placement.metadata.namespace
        made = bring(
            placement.spec.manifests,
            namespace=namespace,
            account=placement.spec.service_account,
            find=lambda kind, name: self._sources.find(kind, name, namespace=namespace),
        )
        if made.is_unread and kept is not None and kept[0] == stamp and not kept[1].is_unread:
            made = dataclasses.replace(kept[1], asked=kept[1].asked | made.asked)  # law 1
        self._stale.discard(key)
        self._made[key] = stamp, made
        return made

    def filled(self, placement: Placement) -> Placement:
        """The Placement with all that it gives to clusters among its manifests."""
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

    def attend(self, placements: Iterable[Placement]) -> None:
        """These are all that there are."""
        asking = {one.key for one in placements if one.spec.dependencies == "Auto"}
        self._sources.attend({namespace for namespace, _ in asking})
        for key in [key for key in self._made if key not in asking]:
            del self._made[key]
        self._stale &= asking

    def _source_changed(self, at: Name) -> None:
        kind, namespace, name = at
        for key, (_, made) in self._made.items():
            if key[0] != namespace or key in self._stale:
                continue
            if (kind, name) in made.asked or (not name and any(one == kind for one, _ in made.asked)):
                self._stale.add(key)
                self._changed(key)

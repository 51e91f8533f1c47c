"""Placements as we know them to be: as the watch brought them, or as our last write left them.

The watch brings a write back only later; who decided on what it says until then would decide twice. All are
`filled`: what they take along of the hub is among their manifests.
"""

from collections.abc import Callable

from mesh_placement.objects import Placement
from mesh_runtime.kube import Informer

Key = tuple[str, str]
"""Namespace and name."""


class KnownPlacements:
    """One a term of leadership."""

    def __init__(self, seen: Informer[Placement], *, filled: Callable[[Placement], Placement]) -> None:
        self._seen = seen
        self._filled = filled
        self._written: dict[Key, Placement] = {}

    def get(self, key: Key) -> Placement | None:
        """The Placement as it is, or None."""
        found = self._newest(key)
        return self._filled(found) if found is not None else None

    def values(self) -> list[Placement]:
        """All of them, in the order of their names."""
        keys = sorted(one.key for one in self._seen.values())
        return [known for key in keys if (known := self.get(key)) is not None]

    def note(self, written: Placement) -> Placement:
        """What a write of ours was answered with."""
        self._written[written.key] = written
        return self._filled(written)

    def _newest(self, key: Key) -> Placement | None:
        seen, written = self._seen.get(key[1], namespace=key[0]), self._written.get(key)
        if seen is None or written is None:
            return seen
        if seen.metadata.uid == written.metadata.uid and _version(seen) < _version(written):
            return written
        del self._written[key]
        return seen


def _version(one: Placement) -> int:
    """Versions of one kind grow (KEP-5504); one that is no number is old."""
    text = one.metadata.resource_version
    return int(text) if text.isdigit() else 0

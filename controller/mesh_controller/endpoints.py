"""Our own Services' endpoints as chunks, kept slice by slice: a change costs the slice that changed."""

from mesh_controller.caches import Caches, ServiceKey
from mesh_core.chunks import Chunk, chunks_of
from mesh_core.objects import EndpointSlice


class OwnEndpoints:
    """The chunks of every Service that somebody asked for; make it before the caches run."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._known: dict[tuple[str, str], tuple[str, tuple[Chunk, ...]]] = {}
        caches.slices.follow(self._follow)

    def of(self, key: ServiceKey) -> tuple[Chunk, ...]:
        """The endpoints of the Service `key`, in the order of its slices' names."""
        return tuple(
            chunk for piece in self._caches.slices_of_service.get(key) for chunk in self._chunks(piece)
        )

    def _chunks(self, piece: EndpointSlice) -> tuple[Chunk, ...]:
        version = piece.metadata.resource_version
        known = self._known.get(piece.key)
        if known is None or known[0] != version:
            known = self._known[piece.key] = version, chunks_of(piece)
        return known[1]

    def _follow(self, key: tuple[str, str], old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        if new is None:
            self._known.pop(key, None)

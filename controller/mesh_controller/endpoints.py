"""Our own Services' endpoints, kept slice by slice: what a change costs is the slice that changed."""

from mesh_controller.caches import Caches, ServiceKey
from mesh_core.chunks import Chunk, chunks_of, shard_of
from mesh_core.objects import EndpointSlice
from mesh_core.record import Shard

SliceKey = tuple[str, str]


class OwnEndpoints:
    """The chunks and shards of every Service that somebody asked for; make it before the caches run."""

    def __init__(self, caches: Caches, *, cluster: str) -> None:
        self._caches = caches
        self._cluster = cluster
        self._chunks: dict[SliceKey, tuple[str, tuple[Chunk, ...]]] = {}
        self._shards: dict[SliceKey, tuple[str, tuple[Shard, ...]]] = {}
        caches.slices.follow(self._follow)

    def of(self, key: ServiceKey) -> tuple[Chunk, ...]:
        """The endpoints of the Service `key`, in the order of its slices' names."""
        pieces = self._caches.slices_of_service.get(key)
        return tuple(chunk for piece in pieces for chunk in self._chunks_of(piece))

    def shards(self, key: ServiceKey) -> tuple[Shard, ...]:
        """The same, as peers are told of them; the very same objects as long as their slice stays."""
        namespace, name = key
        found: list[Shard] = []
        for piece in self._caches.slices_of_service.get(key):
            version = piece.metadata.resource_version
            known = self._shards.get(piece.key)
            if known is None or known[0] != version:
                shards = tuple(
                    shard_of(chunk, cluster=self._cluster, namespace=namespace, name=name)
                    for chunk in self._chunks_of(piece)
                )
                known = self._shards[piece.key] = version, shards
            found += known[1]
        return tuple(found)

    def _chunks_of(self, piece: EndpointSlice) -> tuple[Chunk, ...]:
        version = piece.metadata.resource_version
        known = self._chunks.get(piece.key)
        if known is None or known[0] != version:
            known = self._chunks[piece.key] = version, chunks_of(piece)
        return known[1]

    def _follow(self, key: SliceKey, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        if new is None:
            self._chunks.pop(key, None)
            self._shards.pop(key, None)

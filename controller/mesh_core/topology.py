"""Zone hints: how kube-proxy keeps traffic near (ruling 21; KEP-2433 and KEP-4444).

1. kube-proxy heeds hints only if every ready endpoint of a Service has one. So either all slices of a shadow
   Service have hints or none has.
2. They are written when the import asks for traffic to stay near and every ready endpoint of our own
   cluster has a zone. Ours get their own zone, and so do endpoints of neighbours whose zones have the same
   provider and region. Everything else is `ELSEWHERE`, a zone that no node is in: kube-proxy turns to it
   only on nodes in whose zone there is nothing.
"""

from collections.abc import Iterable

from msgspec import structs

from mesh_core.chunks import Chunk
from mesh_core.objects import Endpoint, EndpointHints, ForZone

ELSEWHERE = "elsewhere.meshctl.dev"
NEAR = frozenset({"PreferClose", "PreferSameZone", "PreferSameNode"})


def wants_hints(distribution: str | None, *, own: Iterable[Chunk]) -> bool:
    """Whether the slices of an import get hints; `own` are this cluster's endpoints."""
    ready = [endpoint for chunk in own for endpoint in chunk.endpoints if endpoint.is_ready]
    return distribution in NEAR and bool(ready) and all(endpoint.zone for endpoint in ready)


def hinted(endpoint: Endpoint, *, same_scope: bool) -> Endpoint:
    """The endpoint with its hint; `same_scope` says that its zone means here what it means there."""
    zone = endpoint.zone if same_scope and endpoint.zone else ELSEWHERE
    return structs.replace(endpoint, hints=EndpointHints(for_zones=(ForZone(name=zone),)))

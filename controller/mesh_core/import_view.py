"""Everything that decides one import, and what of it is ours to touch.

1. Nothing is made in a namespace that is missing or being deleted.
2. A ServiceImport or Service without our label is somebody's own, whatever its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mesh_core.names import LABEL_MANAGED_BY, MANAGER
from mesh_core.objects import EndpointSlice, KubernetesObject, Namespace, Service, ServiceImport
from mesh_core.record import ExportRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportView:
    """Everything that decides one import, as the caches show it.

    `cluster` is our own id; `records` those of all clusters, our own among them; `source_slices` the
    slices of the Service of the same name; `slices` our own slices of this import; `gateways` the IPv4
    addresses of ready local gateways; `ports` the egress ports held, by port name; `contested` the ports
    that another import claims too. `reuse_ips` is False when the ClusterIP stated in the ServiceImport
    can no longer be had.
    """

    cluster: str
    namespace: str
    name: str
    home: Namespace | None
    records: tuple[ExportRecord, ...]
    service_import: ServiceImport | None
    shadow: Service | None
    source_slices: tuple[EndpointSlice, ...]
    slices: tuple[EndpointSlice, ...]
    gateways: tuple[str, ...]
    ports: Mapping[str, int]
    contested: frozenset[int]
    reuse_ips: bool = True


def is_open(home: Namespace | None) -> bool:
    """Whether objects can be made in this namespace."""
    if home is None:
        return False
    return home.metadata.deletion_timestamp is None and home.status.phase != "Terminating"


def is_ours(seen: KubernetesObject | None) -> bool:
    """Whether a ServiceImport or Service is one that we made."""
    return seen is not None and seen.metadata.labels.get(LABEL_MANAGED_BY) == MANAGER


def stated_ips(view: ImportView) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """IPs and families that the ServiceImport states and a new shadow Service should have; or none.

    We write both in one write, so IPs without as many families are somebody else's words.
    """
    stated = view.service_import.spec if view.service_import is not None and view.reuse_ips else None
    if stated is None or len(stated.ips) != len(stated.ip_families):
        return (), ()
    return stated.ips, stated.ip_families


def obstacle(*, service_import: ServiceImport | None, shadow: Service | None) -> str:
    """A sentence about somebody's own object in the place of ours, "" when there is none."""
    for kind, seen in (("ServiceImport", service_import), ("Service", shadow)):
        if seen is not None and not is_ours(seen):
            name = f"{seen.metadata.namespace}/{seen.metadata.name}"
            return (
                f"the {kind} {name} was not made by {MANAGER} and stands in the way; "
                "delete it, or export under another name"
            )
    return ""

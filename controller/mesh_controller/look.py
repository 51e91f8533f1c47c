"""Looking: what the caches say about one name, as the values that decisions take."""

from collections.abc import Mapping

from mesh_controller.caches import Caches, ServiceKey
from mesh_core.export import ExportDecision, decide, is_exported
from mesh_core.import_view import ImportView, obstacle
from mesh_core.names import GATEWAY, SYSTEM_NAMESPACE, shadow_service_name
from mesh_core.objects import Service
from mesh_core.ports import ClaimTable, PortTarget
from mesh_core.record import ExportRecord


class Look:
    """The views of this cluster, whose id is `cluster`."""

    def __init__(self, caches: Caches, *, cluster: str) -> None:
        self._caches = caches
        self.cluster = cluster

    def own_export(self, key: ServiceKey) -> ExportDecision | None:
        """What our own ServiceExport of this name comes to; None when there is none."""
        namespace, name = key
        export = self._caches.exports.get(name, namespace=namespace)
        if export is None or not is_exported(export):
            return None
        return decide(
            export,
            service=self._caches.services.get(name, namespace=namespace),
            slices=self._caches.slices_of_service.get(key),
            cluster=self.cluster,
            obstacle=self.obstacle(key),
        )

    def obstacle(self, key: ServiceKey) -> str:
        """Somebody's own object in the place of ours, as a sentence; "" when there is none."""
        namespace, name = key
        seen = self._caches.imports.get(name, namespace=namespace)
        return obstacle(service_import=seen, shadow=self._shadow(key))

    def records(self, key: ServiceKey) -> tuple[ExportRecord, ...]:
        """The records of this name: those of peers, and our own."""
        theirs = (seen.spec for seen in self._caches.records_of.get(key))
        foreign = tuple(record for record in theirs if record.cluster != self.cluster)
        decision = self.own_export(key)
        own = decision.record if decision is not None else None
        return foreign if own is None else (*foreign, own)

    def import_view(
        self,
        key: ServiceKey,
        *,
        ports: Mapping[str, int],
        claims: ClaimTable,
        reuse_ips: bool,
    ) -> ImportView:
        """Everything that decides the import; `ports` are the egress ports held, by port name."""
        namespace, name = key
        slices = tuple(self._caches.slices_of_import.get(key))
        return ImportView(
            cluster=self.cluster,
            namespace=namespace,
            name=name,
            home=self._caches.namespaces.get(namespace),
            records=self.records(key),
            service_import=self._caches.imports.get(name, namespace=namespace),
            shadow=self._shadow(key),
            source_slices=tuple(self._caches.slices_of_service.get(key)),
            slices=slices,
            gateways=self.gateways(),
            ports=ports,
            contested=frozenset(
                port.port
                for piece in slices
                for port in piece.ports or ()
                if port.port is not None and _is_contested(port.port, key=key, claims=claims)
            ),
            reuse_ips=reuse_ips,
        )

    def gateways(self) -> tuple[str, ...]:
        """IPv4 addresses of the ready local gateways."""
        return tuple(
            sorted(
                endpoint.addresses[0]
                for piece in self._caches.slices_of_service.get((SYSTEM_NAMESPACE, GATEWAY))
                if piece.address_type == "IPv4"
                for endpoint in piece.endpoints or ()
                if endpoint.is_ready and endpoint.addresses
            )
        )

    def _shadow(self, key: ServiceKey) -> Service | None:
        namespace, name = key
        shadow = shadow_service_name(namespace=namespace, name=name)
        return self._caches.services.get(shadow, namespace=namespace)


def _is_contested(port: int, *, key: ServiceKey, claims: ClaimTable) -> bool:
    """Whether another import claims the port too."""
    return any((target.namespace, target.service) != key for target in claims.claimants(port))


def targets_of(key: ServiceKey, *, names: tuple[str, ...]) -> tuple[PortTarget, ...]:
    """The targets of the ports `names` of the import `key`."""
    namespace, service = key
    return tuple(PortTarget(namespace, service, name) for name in names)

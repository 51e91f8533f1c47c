"""What a ServiceExport comes to: the record that goes to the clusterset, and the conditions that say so.

KEP-1645, "Exporting Services" and "ServiceExport condition"; constants of mcs-api v1beta1.

1. `Valid` speaks of the export and its Service, `Ready` of whether a record goes out, `Conflict` of the
   other clusters' exports of the same name. `Ready` is True exactly when there is a record.
2. What is not carried yet (headless Services, other protocols than TCP) is refused by name, never
   half served.
3. It fails closed: an annotation below `meshctl.dev/` that is not understood withholds the export, since
   it may have been meant to restrict it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from mesh_core.admission import MOST_READY, RecordRefused, admit
from mesh_core.conditions import merged, truth
from mesh_core.merge import Conflict
from mesh_core.names import ANNOTATION_PREFIX, LABEL_SERVICE_NAME
from mesh_core.objects import Condition, EndpointSlice, Service, ServiceExport, ServicePort
from mesh_core.record import ExportRecord, RecordPort

VALID, READY, CONFLICT = "Valid", "Ready", "Conflict"
CARRIED_PROTOCOL = "TCP"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status of one condition with the reason and the sentence for it."""

    status: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ExportDecision:
    """What one ServiceExport comes to; `record` is what peers and our own import merge."""

    valid: Verdict
    ready: Verdict
    record: ExportRecord | None


def decide(
    export: ServiceExport,
    *,
    service: Service | None,
    slices: Iterable[EndpointSlice],
    cluster: str,
    obstacle: str = "",
) -> ExportDecision:
    """The decision on `export` in `cluster`, given the Service of its name and that Service's slices.

    `obstacle` is a sentence about what keeps *this* cluster from importing the name, "" for nothing: the
    record goes to the others all the same.
    """
    valid = _validity(export, service=service)
    if service is None or not valid.status:
        reason = "Pending" if service is None else "Failed"
        return ExportDecision(valid, Verdict(False, reason, f"nothing is exported: {valid.message}"), None)
    refusal = _refusal(export, service=service)
    if refusal:
        return ExportDecision(valid, Verdict(False, "Failed", refusal), None)
    record = _record(export, service=service, slices=slices, cluster=cluster)
    try:
        # The very door that peers have: what they would refuse is not called exported.
        admit(msgspec.json.encode(record), cluster=cluster)
    except RecordRefused as refused:
        return ExportDecision(valid, Verdict(False, "Failed", _withheld(refused)), None)
    message = _praise(service) + (f"; this cluster cannot import it: {obstacle}" if obstacle else "")
    return ExportDecision(valid, Verdict(True, "Exported", message), record)


def is_exported(export: ServiceExport | None) -> bool:
    """Whether the wish to export stands; one that is being deleted does not."""
    return export is not None and export.metadata.deletion_timestamp is None


def conditions_of(
    export: ServiceExport, *, decision: ExportDecision, conflicts: Sequence[Conflict], now: datetime
) -> tuple[Condition, ...]:
    """All conditions that `export.status` should hold; those of other writers stay.

    An export without a record takes no part in the merge and has no `Conflict` condition.
    """
    verdicts = {VALID: decision.valid, READY: decision.ready}
    if decision.record is not None:
        verdicts[CONFLICT] = _conflict(conflicts)
    wanted = [
        Condition(
            type=kind,
            status=truth(verdict.status),
            reason=verdict.reason,
            message=verdict.message,
            observed_generation=export.metadata.generation,
        )
        for kind, verdict in verdicts.items()
    ]
    return merged(wanted, before=export.status.conditions, ours=(VALID, READY, CONFLICT), now=now)


def _validity(export: ServiceExport, *, service: Service | None) -> Verdict:
    name = f"{export.metadata.namespace}/{export.metadata.name}"
    if service is None:
        return Verdict(False, "NoService", f"there is no Service {name}; create it or delete this export")
    if service.spec.type == "ExternalName":
        return Verdict(
            False,
            "InvalidServiceType",
            f"the Service {name} has type ExternalName, which cannot be exported; "
            "use a ClusterIP Service or delete this export",
        )
    return Verdict(True, "Valid", f"the Service {name} can be exported")


def _refusal(export: ServiceExport, *, service: Service) -> str:
    """Why a valid export is not carried, "" when it is."""
    unknown = sorted(key for key in export.metadata.annotations if key.startswith(ANNOTATION_PREFIX))
    if unknown:
        return f"withheld: the annotation {unknown[0]} is not known to this version; remove it"
    if service.spec.cluster_ip in ("", "None"):
        return (
            "headless Services are not carried between clusters yet; "
            "export a Service that has a cluster IP instead"
        )
    if not _carried(service.spec.ports):
        return "only TCP ports are carried between clusters yet; the Service has none"
    return ""


def _withheld(refused: RecordRefused) -> str:
    return f"withheld, because every peer would refuse it: {refused.what}; change the export or its Service"


def _praise(service: Service) -> str:
    left_out = [port for port in service.spec.ports if port.protocol != CARRIED_PROTOCOL]
    sentence = "exported to every member of the clusterset"
    if left_out:
        names = ", ".join(f"{port.name or port.port} ({port.protocol})" for port in left_out)
        sentence += f"; only TCP is carried yet, so these ports are left out: {names}"
    return sentence


def _conflict(conflicts: Sequence[Conflict]) -> Verdict:
    if not conflicts:
        return Verdict(False, "NoConflicts", "all exports of this name agree")
    # The reason's pattern allows commas and no spaces (metav1.Condition).
    reasons = ",".join(dict.fromkeys(conflict.reason for conflict in conflicts))
    return Verdict(True, reasons, " ".join(conflict.message for conflict in conflicts))


def _record(
    export: ServiceExport, *, service: Service, slices: Iterable[EndpointSlice], cluster: str
) -> ExportRecord:
    ready = ready_by_port(slices)
    affinity = service.spec.session_affinity_config
    client_ip = affinity.client_ip if affinity is not None else None
    return ExportRecord(
        cluster=cluster,
        namespace=export.metadata.namespace,
        name=export.metadata.name,
        created=export.metadata.creation_timestamp,
        ports=tuple(
            RecordPort(
                port=port.port,
                name=port.name,
                protocol=port.protocol,
                app_protocol=port.app_protocol,
                ready=min(ready[port.name], MOST_READY),
            )
            for port in _carried(service.spec.ports)
        ),
        session_affinity=service.spec.session_affinity,
        session_affinity_timeout=client_ip.timeout_seconds if client_ip is not None else None,
        internal_traffic_policy=service.spec.internal_traffic_policy,
        traffic_distribution=service.spec.traffic_distribution,
        exported_labels=export.spec.exported_labels,
        exported_annotations=export.spec.exported_annotations,
        ip_families=service.spec.ip_families,
    )


def _carried(ports: Sequence[ServicePort]) -> tuple[ServicePort, ...]:
    return tuple(port for port in ports if port.protocol == CARRIED_PROTOCOL)


def ready_by_port(slices: Iterable[EndpointSlice]) -> Counter[str]:
    """Number of ready endpoints behind each TCP port name.

    An endpoint in two slices counts once, and so does a pod with an address of each family.
    """
    ready: dict[tuple[str, str], set[str]] = {}
    for piece in sources(slices):
        addresses = {e.addresses[0] for e in piece.endpoints or () if e.is_ready and e.addresses}
        for port in piece.ports or ():
            if port.protocol == CARRIED_PROTOCOL:
                ready.setdefault((port.name or "", piece.address_type), set()).update(addresses)
    most: Counter[str] = Counter()
    for (name, _family), found in ready.items():
        most[name] = max(most[name], len(found))
    return most


def sources(slices: Iterable[EndpointSlice]) -> list[EndpointSlice]:
    """Those slices that state a Service's own endpoints by address: no imported ones, no FQDNs."""
    return [
        piece
        for piece in slices
        if LABEL_SERVICE_NAME not in piece.metadata.labels and piece.address_type in ("IPv4", "IPv6")
    ]

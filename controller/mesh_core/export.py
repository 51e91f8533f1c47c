"""What a ServiceExport comes to: the record that goes to the clusterset, and the conditions that say so.

KEP-1645, "Exporting Services" and "ServiceExport condition"; constants of mcs-api v1beta1.

1. `Valid` speaks of the export and its Service, `Ready` of whether a record goes out, `Conflict` of the
   other clusters' exports of the same name. `Ready` is True exactly when there is a record.
2. What is not carried everywhere is exported all the same and said in the message of `Ready`; what is
   carried nowhere is refused.
3. It fails closed: an annotation below `meshctl.dev/` that is not understood withholds the export, since
   it may have been meant to restrict it (ruling 26).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mesh_core.admission import RecordRefused, check
from mesh_core.chunks import Chunk
from mesh_core.conditions import merged, truth
from mesh_core.export_record import Exporter, fits_server_name, is_headless, longest_endpoint, record_of
from mesh_core.merge import Conflict
from mesh_core.objects import Condition, Service, ServiceExport
from mesh_core.policy import InvalidPolicy, Policy, policy_of
from mesh_core.ports import CARRIED_PROTOCOLS
from mesh_core.record import ExportRecord

VALID, READY, CONFLICT = "Valid", "Ready", "Conflict"
REFUSED_PROTOCOL: Final = "SCTP"
_MOST_SHOWN: Final = 20
"""Entries of `meshctl.dev/allow` in a message, which has its bounds."""


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
    chunks: Sequence[Chunk],
    exporter: Exporter,
    obstacle: str = "",
) -> ExportDecision:
    """The decision on `export`, given the Service of its name and that Service's endpoints.

    `obstacle` is a sentence about what keeps *this* cluster from importing the name, "" for nothing: the
    record goes to the others all the same.
    """
    valid = _validity(export, service=service)
    if service is None or not valid.status:
        reason = "Pending" if service is None else "Failed"
        return ExportDecision(valid, Verdict(False, reason, f"nothing is exported: {valid.message}"), None)
    policy = policy_of(export.metadata.annotations)
    if isinstance(policy, InvalidPolicy):
        return ExportDecision(valid, Verdict(False, "InvalidPolicy", f"withheld: {policy.why}"), None)
    refusal = _refusal(service)
    if refusal:
        return ExportDecision(valid, Verdict(False, "Failed", refusal), None)
    record = record_of(export, service=service, chunks=chunks, policy=policy, exporter=exporter)
    try:
        # The very door that peers have: what they would refuse is not called exported.
        check(record)
    except RecordRefused as refused:
        return ExportDecision(valid, Verdict(False, "Failed", _withheld(refused)), None)
    parts = [_audience(policy), *_reservations(record, service=service, chunks=chunks)]
    parts += [_publicity(policy)] if policy.public else []
    parts += [f"this cluster cannot import it: {obstacle}"] if obstacle else []
    return ExportDecision(valid, Verdict(True, "Exported", "; ".join(parts)), record)


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


def _refusal(service: Service) -> str:
    """Why a valid export is not carried at all, "" when it is."""
    ports = service.spec.ports
    if ports and all(port.protocol == REFUSED_PROTOCOL for port in ports):
        return "SCTP is not carried between clusters, and the Service has no other port; add a TCP port"
    return ""


def _withheld(refused: RecordRefused) -> str:
    return f"withheld, because every peer would refuse it: {refused.what}; change the export or its Service"


def _audience(policy: Policy) -> str:
    if policy.allow is None:
        return "exported to every member of the clusterset"
    entries = sorted(policy.allow.entries)
    more = f" and {len(entries) - _MOST_SHOWN} more" if len(entries) > _MOST_SHOWN else ""
    return f"exported to {', '.join(entries[:_MOST_SHOWN])}{more} only"


def _publicity(policy: Policy) -> str:
    names = ", ".join(public.name for public in policy.public[:_MOST_SHOWN])
    more = f" and {len(policy.public) - _MOST_SHOWN} more" if len(policy.public) > _MOST_SHOWN else ""
    return f"open to everybody who reaches the gateway as {names}{more}"


def _reservations(record: ExportRecord, *, service: Service, chunks: Sequence[Chunk]) -> list[str]:
    """Clauses about what not everybody can use."""
    found: list[str] = []
    names = [port.name or str(port.port) for port in service.spec.ports if port.protocol == REFUSED_PROTOCOL]
    if names:
        found.append(f"{REFUSED_PROTOCOL} is not carried between clusters: {', '.join(names)}")
    if not is_headless(service):
        return found
    if not any(port.protocol in CARRIED_PROTOCOLS for port in record.ports):
        found.append(
            "NoPortsAcrossNetworks: without a port its endpoints are reached within one network only"
        )
    longest = longest_endpoint(chunks)
    if not fits_server_name(
        cluster=record.cluster, namespace=record.namespace, service=record.name, endpoint=longest
    ):
        found.append(f"endpoints with names as long as {longest} are reached within one network only")
    return found


def _conflict(conflicts: Sequence[Conflict]) -> Verdict:
    if not conflicts:
        return Verdict(False, "NoConflicts", "all exports of this name agree")
    # The reason's pattern allows commas and no spaces (metav1.Condition).
    reasons = ",".join(dict.fromkeys(conflict.reason for conflict in conflicts))
    return Verdict(True, reasons, " ".join(conflict.message for conflict in conflicts))

"""The hub's half of a registration's status: phase, conditions, taints, pins.

    Pending -> Accepted -> Available -> Ready, and from the last two Suspect, Unreachable

The first renewal of the Lease makes a cluster Joined and Available at once, so the phase between is not seen.

1. The status is made whole each time, from the object and what the hub sees; what is the agent's or somebody
   else's (conditions of readiness gates) is no part of it.
2. `lostSince` and the conditions carry over a restart of the hub what cannot be seen again.
3. The taint `initialising` goes with the first Ready and does not come back: a gate that falls later keeps
   the cluster out by its condition.
4. A cluster that is leaving is not judged here.
5. Where the failure table found a trouble though the Lease is held, the cluster has a taint of that verdict,
   since when it was noted: tolerations count their seconds from there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

import msgspec

from mesh_core.conditions import rfc3339, settled
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Condition
from mesh_placement.decide.finding import Finding
from mesh_placement.decide.gateway_reach import GATEWAY_REACHABLE, Witness, gateway_finding
from mesh_placement.decide.heart import Heart, Pulse, pulse_of
from mesh_placement.decide.rights import namespace_of
from mesh_placement.decide.trust_pending import TRUST_PENDING, has_mesh, trust_finding
from mesh_placement.names import (
    AGENT,
    TAINT_API_DOWN,
    TAINT_DATA_PLANE_DOWN,
    TAINT_INITIALISING,
    TAINT_UNREACHABLE,
)
from mesh_placement.objects import (
    ClusterIdentity,
    ClusterRegistration,
    ClusterRegistrationStatus,
    ClusterSet,
    Phase,
    ReadinessGate,
    Taint,
)
from mesh_placement.objects.standings import Standing

HUB_ACCEPTED: Final = "HubAccepted"
JOINED: Final = "Joined"
AVAILABLE: Final = "Available"
READY: Final = "Ready"
_AGENTS_LOG: Final = f"kubectl -n {SYSTEM_NAMESPACE} logs deployment/{AGENT}"
HUB_CONDITIONS: Final = (HUB_ACCEPTED, JOINED, AVAILABLE, GATEWAY_REACHABLE, TRUST_PENDING, READY)
"""GatewayReachable and TrustPending only where the ClusterSet has a mesh, once the cluster has joined."""


_OF_STANDINGS: Final[Mapping[Standing, str]] = {
    "DataPlaneDown": TAINT_DATA_PLANE_DOWN,
    "ApiDown": TAINT_API_DOWN,
}
"""Law 5: taints of clusters whose Lease is held."""


class Reason(Enum):
    """Reasons of the hub's conditions."""

    ACCEPTED = "Accepted"
    NOT_ACCEPTED = "WaitingForAcceptance"
    SET_UNKNOWN = "ClusterSetUnknown"
    LEASE_RENEWED = "LeaseRenewed"
    NO_CLAIM = "WaitingForClaim"
    NO_AGENT = "WaitingForAgent"
    DIAL_IN_FAILED = "DialInFailed"
    FRESH = "LeaseFresh"
    LATE = "LeaseLate"
    LOST = "LeaseLost"
    NOT_JOINED = "NotJoined"
    GATES_TRUE = "GatesTrue"
    NOT_REPORTED = "NotReported"
    GATE_NOT_MET = "GateNotMet"
    NAMESPACE_TAKEN = "NamespaceTaken"
    NETWORK_OVERLAP = "NetworkOverlap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the hub sees beside the object.

    `pin` and `token` are those of an admitted claim, else what the status has; `cluster_set` is None where
    there is no such set; `taken`: its namespace is somebody else's. `overlap` and `dial_in` say what is
    wrong, "" when nothing is. `witnesses` are what the others of its set say of its gateway.
    """

    heart: Heart
    pin: ClusterIdentity
    token: str
    cluster_set: ClusterSet | None
    taken: bool
    hub_ca: str
    overlap: str
    dial_in: str
    now: datetime
    witnesses: tuple[Witness, ...] = ()

    @property
    def set_is_known(self) -> bool:
        """Whether there is its ClusterSet."""
        return self.cluster_set is not None


def hub_status(registration: ClusterRegistration, *, sight: Sight) -> ClusterRegistrationStatus:
    """The hub's half, with what the agent says as it stands and the hub's conditions only."""
    before = registration.status
    is_accepted = registration.spec.accepted and sight.set_is_known and not sight.taken
    was_joined = _standing(before.conditions, JOINED)
    pulse = pulse_of(
        sight.heart,
        times=registration.spec.lease,
        joined=was_joined,
        lost=before.lost_since is not None,
    )
    if not is_accepted:
        pulse = Pulse.NEVER
    findings = {
        HUB_ACCEPTED: _accepted(registration, sight),
        JOINED: _joined(registration, sight, pulse, is_accepted=is_accepted),
        AVAILABLE: _available(registration, pulse),
    }
    if pulse is not Pulse.NEVER:
        findings |= _of_the_mesh(registration, sight)
    findings[READY] = _ready(registration, sight, pulse, found=findings)
    ready = findings[READY].status == "True"
    return msgspec.structs.replace(
        before,
        phase=_phase(pulse, ready=ready, accepted=is_accepted),
        conditions=_conditions(registration, findings, now=sight.now),
        # Once it shows, the registration is a member's, and set and driver stay (CRD).
        namespace=namespace_of(registration)
        if is_accepted and sight.pin.key_fingerprint
        else before.namespace,
        id=sight.pin,
        token=sight.token,
        hub_ca_bundle=sight.hub_ca or before.hub_ca_bundle,
        taints=_taints(registration, pulse, ready=ready, now=sight.now),
        lost_since=(before.lost_since or rfc3339(sight.now)) if pulse is Pulse.LOST else None,
    )


def is_joined(status: ClusterRegistrationStatus) -> bool:
    """Whether the credential has worked once."""
    return _standing(status.conditions, JOINED)


def unmet_gates(
    registration: ClusterRegistration, *, found: Mapping[str, Finding] | None = None
) -> tuple[ReadinessGate, ...]:
    """Readiness gates that do not hold; of the hub's own conditions `found` is newer than what is written."""
    gates = registration.spec.readiness_gates
    return tuple(gate for gate in gates if not _is_met(gate, registration, found or {}))


def hub_conditions(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Those of the hub, in their order, without those of others."""
    by_type = {one.type: one for one in conditions}
    return tuple(by_type[kind] for kind in HUB_CONDITIONS if kind in by_type)


def _accepted(registration: ClusterRegistration, sight: Sight) -> Finding:
    name, cluster_set = registration.metadata.name, registration.spec.cluster_set
    if not sight.set_is_known:
        return Finding(
            "False", Reason.SET_UNKNOWN, f"there is no ClusterSet {cluster_set}; make it, or correct the name"
        )
    if sight.taken:
        return Finding(
            "False",
            Reason.NAMESPACE_TAKEN,
            f"the namespace {namespace_of(registration)} is there for something else; take another id",
        )
    if registration.spec.accepted:
        return Finding("True", Reason.ACCEPTED, f"accepted into {cluster_set}")
    shown = f" with the key {sight.pin.key_fingerprint}" if sight.pin.key_fingerprint else ""
    return Finding(
        "False",
        Reason.NOT_ACCEPTED,
        f"{name} waits{shown}; if it is the one that you expect: meshctl clusters accept {name}",
    )


def _joined(registration: ClusterRegistration, sight: Sight, pulse: Pulse, *, is_accepted: bool) -> Finding:
    if pulse is not Pulse.NEVER:
        return Finding("True", Reason.LEASE_RENEWED, "the agent's credential works")
    if not is_accepted:
        return Finding("False", Reason.NOT_ACCEPTED, "nobody has accepted the cluster yet")
    if sight.dial_in:
        return Finding("False", Reason.DIAL_IN_FAILED, sight.dial_in)
    if not sight.pin.key_fingerprint:
        name = registration.metadata.name
        how = (
            f"put the member's kubeconfig into the Secret placement-join-{name} (meshctl register)"
            if registration.spec.mode == "Auto"
            else f"run meshctl register --cluster-id {name} on the member"
        )
        return Finding("False", Reason.NO_CLAIM, f"no agent has come yet; {how}")
    return Finding(
        "False", Reason.NO_AGENT, f"the agent has not used its credential yet; in the member: {_AGENTS_LOG}"
    )


def _available(registration: ClusterRegistration, pulse: Pulse) -> Finding:
    times = registration.spec.lease
    match pulse:
        case Pulse.NEVER:
            return Finding("False", Reason.NOT_JOINED, "the cluster has not joined yet")
        case Pulse.FRESH:
            return Finding("True", Reason.FRESH, f"the Lease is renewed every {times.duration_seconds} s")
        case Pulse.LATE:
            return Finding("True", Reason.LATE, "two renewals of the Lease are missing")
        case Pulse.LOST:
            return Finding(
                "Unknown",
                Reason.LOST,
                f"{times.missed} renewals of the Lease are missing; see whether the agent runs and reaches "
                f"this hub, in the member: {_AGENTS_LOG}",
            )


def _of_the_mesh(registration: ClusterRegistration, sight: Sight) -> dict[str, Finding]:
    if sight.cluster_set is None or not has_mesh(sight.cluster_set):
        return {}
    found = {GATEWAY_REACHABLE: gateway_finding(sight.witnesses)}
    trust = trust_finding(registration, cluster_set=sight.cluster_set)
    return found if trust is None else {**found, TRUST_PENDING: trust}


def _ready(
    registration: ClusterRegistration, sight: Sight, pulse: Pulse, *, found: Mapping[str, Finding]
) -> Finding:
    agent = registration.status.agent
    match pulse:
        case Pulse.NEVER:
            return Finding("False", Reason.NOT_JOINED, "the cluster has not joined yet")
        case Pulse.LOST:
            return Finding("Unknown", Reason.LOST, "the Lease is not renewed")
        case Pulse.FRESH | Pulse.LATE:
            pass
    if not (agent.kubernetes and agent.apis):
        return Finding(
            "False",
            Reason.NOT_REPORTED,
            f"the agent has not told version and APIs yet; in the member: {_AGENTS_LOG}",
        )
    if sight.overlap:
        return Finding("False", Reason.NETWORK_OVERLAP, sight.overlap)
    unmet = unmet_gates(registration, found=found)
    if unmet:
        names = ", ".join(f"{gate.condition_type} ({gate.polarity})" for gate in unmet)
        return Finding("False", Reason.GATE_NOT_MET, f"not met: {names}; ask who sets these conditions")
    return Finding("True", Reason.GATES_TRUE, "all readiness gates are met")


def _is_met(gate: ReadinessGate, registration: ClusterRegistration, found: Mapping[str, Finding]) -> bool:
    ours = found.get(gate.condition_type)
    holds = (
        ours.status == "True"
        if ours is not None
        else _standing(registration.status.conditions, gate.condition_type)
    )
    return holds if gate.polarity == "Positive" else not holds


def _phase(pulse: Pulse, *, ready: bool, accepted: bool) -> Phase:
    match pulse:
        case Pulse.NEVER:
            return "Accepted" if accepted else "Pending"
        case Pulse.FRESH:
            return "Ready" if ready else "Available"
        case Pulse.LATE:
            return "Suspect"
        case Pulse.LOST:
            return "Unreachable"


def _conditions(
    registration: ClusterRegistration, findings: Mapping[str, Finding], *, now: datetime
) -> tuple[Condition, ...]:
    return tuple(
        settled(
            Condition(
                type=kind,
                status=finding.status,
                reason=finding.reason.value,
                message=finding.message,
                observed_generation=registration.metadata.generation,
            ),
            before=registration.status.conditions,
            now=now,
        )
        for kind, finding in findings.items()
    )


def _taints(
    registration: ClusterRegistration, pulse: Pulse, *, ready: bool, now: datetime
) -> tuple[Taint, ...]:
    before = {taint.key: taint for taint in registration.status.taints}
    is_new = not hub_conditions(registration.status.conditions)
    keys = []
    if not ready and (is_new or TAINT_INITIALISING in before):
        keys.append(TAINT_INITIALISING)
    if pulse is Pulse.LOST:
        keys.append(TAINT_UNREACHABLE)
    taints = [before.get(key, Taint(key=key, effect="NoSchedule", time_added=rfc3339(now))) for key in keys]
    noted = registration.status.standing
    key = _OF_STANDINGS.get(noted.verdict, "") if noted is not None else ""
    if noted is not None and key and pulse in (Pulse.FRESH, Pulse.LATE):
        taints.append(Taint(key=key, effect="NoSchedule", time_added=noted.since))
    return tuple(taints)


def _standing(conditions: Iterable[Condition], kind: str) -> bool:
    return any(one.type == kind and one.status == "True" for one in conditions)

"""The ClusterProfile of a member: what foreign tools read of it (KEP-4322, cluster-inventory-api v1alpha1).

1. No number that changes and no secret: a profile is written when a cluster changes, not when it is busy.
2. A property that no profile can hold is left out, and a condition says so.
3. The way to the cluster is the hub's own proxy, the same for direct and tunnelled members.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mesh_core.conditions import rfc3339, settled, truth
from mesh_core.objects import Condition
from mesh_placement.decide.phase import AVAILABLE, JOINED, READY
from mesh_placement.names import (
    ACCESS_GROUP,
    CLUSTER_MANAGER,
    LABEL_CLUSTER,
    LABEL_CLUSTER_MANAGER,
    LABEL_CLUSTERSET,
)
from mesh_placement.objects import (
    AccessProvider,
    ClusterManager,
    ClusterProfile,
    ClusterProfileSpec,
    ClusterProfileStatus,
    ClusterRegistration,
    ClusterVersion,
    NamedValue,
    ProfileCluster,
    Property,
)

LONGEST_VALUE: Final = 1024
LONGEST_NAME: Final = 253
CONTROL_PLANE_HEALTHY: Final = "ControlPlaneHealthy"
PROPERTIES_COMPLETE: Final = "PropertiesComplete"
_OF_REGISTRATION: Final = (JOINED, READY)


@dataclass(frozen=True, slots=True)
class HubAddress:
    """Where the hub is, as HUB_INFO says; `ca` is PEM."""

    server: str
    ca: str


def profile_labels(registration: ClusterRegistration) -> dict[str, str]:
    """Labels of its ClusterProfile."""
    return {
        LABEL_CLUSTER: registration.metadata.name,
        LABEL_CLUSTERSET: registration.spec.cluster_set,
        LABEL_CLUSTER_MANAGER: CLUSTER_MANAGER,
    }


def profile_spec(registration: ClusterRegistration) -> ClusterProfileSpec:
    """Its spec, which never changes."""
    return ClusterProfileSpec(
        display_name=registration.metadata.name, cluster_manager=ClusterManager(name=CLUSTER_MANAGER)
    )


def profile_status(
    registration: ClusterRegistration, *, before: ClusterProfile | None, hub: HubAddress | None, now: datetime
) -> ClusterProfileStatus:
    """Its status; equal to the one before while nothing changed."""
    old = before.status if before is not None else ClusterProfileStatus()
    agent = registration.status.agent
    fitting = [one for one in agent.properties if _fits(one)]
    return ClusterProfileStatus(
        conditions=_conditions(registration, old, now=now),
        version=ClusterVersion(kubernetes=agent.kubernetes),
        properties=_properties(fitting, old, now=now),
        access_providers=_ways(registration, hub),
    )


def elsewhere(
    profiles: Iterable[ClusterProfile], *, cluster: str, beside: str
) -> tuple[tuple[str, str], ...]:
    """Namespace and name of our profiles of that cluster in other namespaces than `beside`, in order."""
    labels = {LABEL_CLUSTER: cluster, LABEL_CLUSTER_MANAGER: CLUSTER_MANAGER}
    return tuple(
        sorted(
            one.key
            for one in profiles
            if one.metadata.name == cluster
            and one.metadata.namespace != beside
            and labels.items() <= one.metadata.labels.items()
        )
    )


def _fits(one: NamedValue) -> bool:
    return 0 < len(one.value) <= LONGEST_VALUE and 0 < len(one.name) <= LONGEST_NAME


def _properties(
    fitting: list[NamedValue], old: ClusterProfileStatus, *, now: datetime
) -> tuple[Property, ...]:
    """By name; observed when the value was first seen, so that looking again changes nothing."""
    known = {(one.name, one.value): one for one in old.properties}
    values = {one.name: one.value for one in fitting}
    return tuple(
        known.get((name, value), Property(name=name, value=value, last_observed_time=rfc3339(now)))
        for name, value in sorted(values.items())
    )


def _ways(registration: ClusterRegistration, hub: HubAddress | None) -> tuple[AccessProvider, ...]:
    if hub is None or not hub.server:
        return ()
    path = f"/apis/{ACCESS_GROUP}/v1alpha1/clusters/{registration.metadata.name}/proxy"
    cluster = ProfileCluster(
        server=hub.server.rstrip("/") + path,
        certificate_authority_data=base64.b64encode(hub.ca.encode()).decode() if hub.ca else "",
    )
    return (AccessProvider(name=ACCESS_GROUP, cluster=cluster),)


def _conditions(
    registration: ClusterRegistration, old: ClusterProfileStatus, *, now: datetime
) -> tuple[Condition, ...]:
    ours = {one.type: one for one in registration.status.conditions}
    wanted = []
    available = ours.get(AVAILABLE)
    if available is not None:
        wanted.append(_condition(CONTROL_PLANE_HEALTHY, available))
    wanted += [_condition(kind, ours[kind]) for kind in _OF_REGISTRATION if kind in ours]
    too_large = sorted(one.name for one in registration.status.agent.properties if not _fits(one))
    wanted.append(
        Condition(
            type=PROPERTIES_COMPLETE,
            status=truth(not too_large),
            reason="PropertyTooLarge" if too_large else "AllFit",
            message=(
                f"left out, since a value has 1 to {LONGEST_VALUE} characters: {', '.join(too_large)}"
                if too_large
                else "every property of the cluster is here"
            ),
        )
    )
    return tuple(settled(one, before=old.conditions, now=now) for one in wanted)


def _condition(kind: str, source: Condition) -> Condition:
    return Condition(type=kind, status=source.status, reason=source.reason, message=source.message)

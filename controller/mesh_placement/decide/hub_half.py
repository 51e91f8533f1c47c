"""The hub's half of a registration as it is written, and what of it a claim changes.

The hub applies its half whole (server-side apply under HUB_MANAGER): what it would leave out it would give
up. While a cluster leaves, others write it, and nothing here is asked.
"""

import msgspec

from mesh_core.conditions import as_json
from mesh_core.plan import Json
from mesh_placement.decide.claim import Claim
from mesh_placement.decide.phase import HUB_CONDITIONS
from mesh_placement.names import FINALIZER
from mesh_placement.objects import AgentReport, ClusterRegistration, ClusterRegistrationStatus


def status_body(registration: ClusterRegistration, *, status: ClusterRegistrationStatus) -> Json:
    """What to apply to the subresource `status`, bound to the registration as it was seen.

    Of `status`, what the agent says and conditions of others are left out.
    """
    meta = registration.metadata
    half = msgspec.to_builtins(_half(status))
    del half["agent"]
    kept = {name: value for name, value in half.items() if value not in (None, "", [], ())}
    kept["conditions"] = [as_json(one) for one in status.conditions if one.type in HUB_CONDITIONS]
    kept["id"] = {name: value for name, value in half["id"].items() if value}
    kept["taints"] = [{name: value for name, value in taint.items() if value} for taint in half["taints"]]
    return {
        "metadata": {"name": meta.name, "resourceVersion": meta.resource_version},
        "status": kept,
    }


def is_same_half(one: ClusterRegistrationStatus, other: ClusterRegistrationStatus) -> bool:
    """Whether the hub says the same in both."""
    return _half(one) == _half(other)


def new_registration(claim: Claim, *, cluster_set: str, accepted: bool) -> Json:
    """The registration of a cluster that comes before anybody has written one for it."""
    return {
        "metadata": {"name": claim.cluster, "finalizers": [FINALIZER]},
        "spec": {
            "clusterSet": cluster_set,
            "accepted": accepted,
            "mode": claim.mode,
            "driver": claim.driver,
        },
    }


def claimed_spec(registration: ClusterRegistration, *, claim: Claim, auto_accept: bool) -> Json:
    """What an admitted claim changes of the spec; empty when nothing."""
    spec = registration.spec
    wanted: Json = {}
    if spec.driver != claim.driver:
        wanted["driver"] = claim.driver
    if spec.mode != claim.mode:
        wanted["mode"] = claim.mode
    if auto_accept and not spec.accepted:
        wanted["accepted"] = True
    return wanted


def _half(status: ClusterRegistrationStatus) -> ClusterRegistrationStatus:
    by_type = {one.type: one for one in status.conditions}
    return msgspec.structs.replace(
        status,
        agent=AgentReport(),
        conditions=tuple(by_type[kind] for kind in HUB_CONDITIONS if kind in by_type),
    )

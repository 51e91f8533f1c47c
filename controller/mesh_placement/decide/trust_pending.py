"""Condition TrustPending: whether a member of a set with a mesh still waits for its identity there.

The hub gives none: it carries the request of the member's controller to whoever has the root's key, and the
signed statement back (decision 0030). What it shows is the next command.

1. A set with `connectivity: Isolated` has no mesh: the condition is not shown.
2. It is False by itself once the member's controller asks for nothing any more.
3. A mesh of another trust domain than the set names is told before anything else.
"""

from enum import Enum
from typing import Final

from mesh_placement.decide.finding import Finding
from mesh_placement.objects import ClusterRegistration, ClusterSet

TRUST_PENDING: Final = "TrustPending"


class TrustReason(Enum):
    """Reasons of the condition."""

    NO_MESH = "NoMesh"
    MISMATCH = "TrustMismatch"
    WAITING = "WaitingForRoot"
    SETTLED = "NothingAsked"


def trust_finding(registration: ClusterRegistration, *, cluster_set: ClusterSet | None) -> Finding | None:
    """What is shown; None where nothing is: the member has not told anything yet, or there is no mesh."""
    agent, name = registration.status.agent, registration.metadata.name
    if cluster_set is None or not has_mesh(cluster_set) or not agent.agent_version:
        return None
    wanted = cluster_set.spec.trust_domain
    if agent.trust_domain and wanted and agent.trust_domain != wanted:
        return Finding(
            "True",
            TrustReason.MISMATCH,
            f"its mesh is {agent.trust_domain}, and ClusterSet {cluster_set.metadata.name} says trustDomain "
            f"{wanted}; register it in another set, or correct the set",
        )
    if not agent.trust_domain:
        return Finding(
            "True",
            TrustReason.NO_MESH,
            "the member is in no mesh; with its kubeconfig and the root's key: meshctl join --cluster-id "
            f"{name} --context MEMBER --trust DIR. A set without a mesh says connectivity: Isolated",
        )
    if agent.trust_request:
        return Finding(
            "True",
            TrustReason.WAITING,
            f"its controller asks for an identity in {agent.trust_domain}; who holds the root's key runs: "
            f"meshctl trust approve --cluster-id {name} --from-hub HUB-CONTEXT --trust DIR --key KEY, where "
            "KEY is what the agent's log in the member says",
        )
    return Finding(
        "False", TrustReason.SETTLED, f"its controller asks for no identity in {agent.trust_domain}"
    )


def has_mesh(cluster_set: ClusterSet) -> bool:
    """Whether members of the set are to reach each other."""
    return cluster_set.spec.connectivity != "Isolated"

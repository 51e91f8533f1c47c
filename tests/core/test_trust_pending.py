"""TrustPending: what a member of a set with a mesh still waits for, with the next command."""

import pytest

from mesh_core.objects import Meta
from mesh_placement.decide.trust_pending import trust_finding
from mesh_placement.objects import (
    AgentReport,
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
    ClusterSet,
    ClusterSetSpec,
    Connectivity,
)


def member(*, domain: str = "", request: str = "", version: str = "0.1.0") -> ClusterRegistration:
    report = AgentReport(agent_version=version, trust_domain=domain, trust_request=request)
    return ClusterRegistration(
        metadata=Meta(name="east-1"),
        spec=ClusterRegistrationSpec(cluster_set="prod"),
        status=ClusterRegistrationStatus(agent=report),
    )


def of_set(*, connectivity: Connectivity = "Mesh", domain: str = "") -> ClusterSet:
    return ClusterSet(
        metadata=Meta(name="prod"), spec=ClusterSetSpec(connectivity=connectivity, trust_domain=domain)
    )


@pytest.mark.parametrize(
    ("seen", "cluster_set", "shown"),
    [
        (member(), of_set(connectivity="Isolated"), None),
        (member(), None, None),
        (member(version=""), of_set(), None),
        (member(), of_set(), ("True", "NoMesh", "meshctl join --cluster-id east-1")),
        (member(), of_set(connectivity="HubAndSpoke"), ("True", "NoMesh", "connectivity: Isolated")),
        (
            member(domain="prod.example", request="PEM"),
            of_set(domain="prod.example"),
            ("True", "WaitingForRoot", "meshctl trust approve --cluster-id east-1 --from-hub HUB-CONTEXT"),
        ),
        (member(domain="prod.example"), of_set(), ("False", "NothingAsked", "prod.example")),
        (
            member(domain="test.example", request="PEM"),
            of_set(domain="prod.example"),
            (
                "True",
                "TrustMismatch",
                "its mesh is test.example, and ClusterSet prod says trustDomain prod.example",
            ),
        ),
    ],
)
def test_it_says_what_is_missing_and_who_does_what(
    seen: ClusterRegistration, cluster_set: ClusterSet | None, shown: tuple[str, str, str] | None
) -> None:
    found = trust_finding(seen, cluster_set=cluster_set)
    if shown is None:
        assert found is None
        return
    assert found is not None
    assert (found.status, found.reason.value) == shown[:2]
    assert shown[2] in found.message

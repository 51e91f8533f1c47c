"""Who may join, and under which id."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mesh_cli.member.admission import JoinRefused, check_newcomer, property_bodies
from mesh_cli.member.itself import Facts
from mesh_core.identity import cluster_id, domain
from mesh_core.names import LABEL_MANAGED_BY, PROPERTY_CLUSTER_ID, PROPERTY_CLUSTERSET
from mesh_core.objects import ClusterProperty, Meta, TrustBundle, TrustBundleSpec
from mesh_core.objects.mesh import ClusterPropertySpec
from mesh_core.trust_body import open_body
from mesh_placement.names import AGENT_MANAGER
from mesh_runtime.trust_dir import ClusterIdTaken, PublicTrust, init_trust_dir, record_member

EAST = cluster_id("east")


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> PublicTrust:
    folder: Path = tmp_path_factory.mktemp("trust")
    init_trust_dir(folder, domain=domain("clusterset.internal"), now=datetime(2026, 1, 1, tzinfo=UTC))
    return record_member(folder, cluster=cluster_id("taken"), uid="uid-of-another")


def prop(name: str, value: str) -> ClusterProperty:
    return ClusterProperty(metadata=Meta(name=name), spec=ClusterPropertySpec(value=value))


def facts(*, named: str = "", clusterset: str = "", bundle: TrustBundleSpec | None = None) -> Facts:
    return Facts(
        context="ctx",
        uid="uid-1",
        cluster_id=prop(PROPERTY_CLUSTER_ID, named) if named else None,
        clusterset=prop(PROPERTY_CLUSTERSET, clusterset) if clusterset else None,
        bundle=TrustBundle(metadata=Meta(name="clusterset"), spec=bundle) if bundle else None,
    )


def test_a_fresh_cluster_may_join_under_a_free_id(trust: PublicTrust) -> None:
    check_newcomer(facts(), cluster=EAST, trust=trust)


def test_a_member_may_join_again(trust: PublicTrust) -> None:
    spec = TrustBundleSpec(domain=trust.domain, generation=4, roots=("another root", trust.root_pem))
    found = facts(named="east", clusterset=trust.domain, bundle=spec)
    check_newcomer(found, cluster=EAST, trust=trust)


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (facts(named="west"), "has the cluster id west already; use --cluster-id west"),
        (facts(clusterset="other.internal"), "is a member of clusterset other.internal already"),
        (
            facts(bundle=TrustBundleSpec(domain="other.internal", generation=1, roots=("r",))),
            "trusts another root .of other.internal. already",
        ),
        (
            facts(bundle=TrustBundleSpec(domain="clusterset.internal", generation=1, roots=("r",))),
            "trusts another root",
        ),
    ],
)
def test_a_cluster_that_is_something_else_already_is_refused(
    trust: PublicTrust, found: Facts, complaint: str
) -> None:
    with pytest.raises(JoinRefused, match=complaint):
        check_newcomer(found, cluster=EAST, trust=trust)


def test_what_a_hubs_agent_has_called_the_set_is_taken_over(trust: PublicTrust) -> None:
    meta = Meta(name=PROPERTY_CLUSTERSET, labels={LABEL_MANAGED_BY: AGENT_MANAGER})
    said = ClusterProperty(metadata=meta, spec=ClusterPropertySpec(value="prod"))
    check_newcomer(replace(facts(named="east"), clusterset=said), cluster=EAST, trust=trust)
    with pytest.raises(JoinRefused, match="has the cluster id west already"):
        check_newcomer(replace(facts(named="west"), clusterset=said), cluster=EAST, trust=trust)


def test_beside_another_implementation_a_cluster_joins_only_when_told_to_ruling_29(
    trust: PublicTrust,
) -> None:
    found = replace(facts(), foreign=("demo/theirs",))
    with pytest.raises(JoinRefused, match=r"another implementation made: demo/theirs; .*--beside-others"):
        check_newcomer(found, cluster=EAST, trust=trust)
    check_newcomer(found, cluster=EAST, trust=trust, beside_others=True)


def test_an_id_that_another_cluster_holds_is_refused(trust: PublicTrust) -> None:
    with pytest.raises(ClusterIdTaken, match=r"belongs to another cluster .*uid-of-another"):
        check_newcomer(facts(), cluster=cluster_id("taken"), trust=trust)


def test_what_is_written_says_who_the_cluster_is_and_whom_it_trusts(trust: PublicTrust) -> None:
    first, second = property_bodies(cluster=EAST, domain=trust.domain)
    assert first == {"metadata": {"name": "cluster.clusterset.k8s.io"}, "spec": {"value": "east"}}
    meta = {"name": "clusterset.k8s.io", "labels": {LABEL_MANAGED_BY: "meshctl"}}
    assert second == {"metadata": meta, "spec": {"value": "clusterset.internal"}}
    spec = open_body(trust.domain, roots=(trust.root_pem,), before=None)["spec"]
    assert spec["domain"] == "clusterset.internal"
    assert spec["roots"] == [trust.root_pem]
    assert trust.root_pem.startswith("-----BEGIN CERTIFICATE-----\n")

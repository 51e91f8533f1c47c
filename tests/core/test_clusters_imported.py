"""Which clusters of Cluster API come in by themselves, and which are sent away."""

import base64

import pytest
from msgspec.structs import replace

from mesh_core.objects import Meta, Secret
from mesh_placement.decide.importing import Import, import_of, kubeconfig_in
from mesh_placement.names import LABEL_CLUSTERSET
from mesh_placement.objects import (
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterSet,
    ClusterSetSpec,
    Provisioned,
)
from mesh_placement.objects.cluster_api import ApiCluster, ApiClusterStatus

GONE = "2026-01-01T00:00:00Z"
SETS = {
    "prod": ClusterSet(metadata=Meta(name="prod"), spec=ClusterSetSpec(import_namespaces=("fleet",))),
    "dev": ClusterSet(metadata=Meta(name="dev")),
}


def cluster(
    name: str = "east",
    *,
    wants: str = "prod",
    namespace: str = "fleet",
    phase: str = "Provisioned",
    going: bool = False,
) -> ApiCluster:
    labels = {LABEL_CLUSTERSET: wants} if wants else {}
    meta = Meta(
        name=name,
        namespace=namespace,
        uid="u1",
        labels=labels,
        deletion_timestamp=GONE if going else None,
    )
    return ApiCluster(metadata=meta, status=ApiClusterStatus(phase=phase))


def registered(provision: Provisioned | None = None, *, going: bool = False) -> ClusterRegistration:
    return ClusterRegistration(
        metadata=Meta(name="east", uid="r1", deletion_timestamp=GONE if going else None),
        spec=ClusterRegistrationSpec(cluster_set="prod", provision=provision),
    )


OURS = Provisioned(provider="capi", claim_uid="u1")


def test_a_cluster_that_wants_into_a_set_that_takes_it_is_registered() -> None:
    assert import_of(cluster(), sets=SETS, registration=None) is Import.REGISTER


LEFT_ALONE = {
    "it wants into no set": (cluster(wants=""), None),
    "there is no such set": (cluster(wants="odd"), None),
    "the set imports nothing": (cluster(wants="dev"), None),
    "the set does not take any of that namespace": (cluster(namespace="tenant"), None),
    "its control plane is not there yet": (cluster(phase="Provisioning"), None),
    "its name is no cluster id": (cluster("east.example"), None),
    "a person has registered that name": (cluster(), registered()),
    "it is in": (cluster(), registered(OURS)),
    "it goes, and that name is somebody else's": (cluster(going=True), registered()),
    "it goes, and another Cluster of that name came": (
        cluster(going=True),
        registered(replace(OURS, claim_uid="u0")),
    ),
    "it goes, and came by a claim": (cluster(going=True), registered(replace(OURS, provider="local"))),
    "it goes, and leaves": (cluster(going=True), registered(OURS, going=True)),
}


@pytest.mark.parametrize(("one", "there"), LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_a_cluster_is_left_alone_where(one: ApiCluster, there: ClusterRegistration | None) -> None:
    assert import_of(one, sets=SETS, registration=there) is Import.NOTHING


def test_a_cluster_that_is_deleted_is_sent_away_if_it_came_by_the_import() -> None:
    assert import_of(cluster(going=True), sets=SETS, registration=registered(OURS)) is Import.SEND_AWAY


def test_a_kubeconfig_is_one_of_cluster_api_or_none() -> None:
    data = {"value": base64.b64encode(b"apiVersion: v1").decode()}
    theirs = Secret(metadata=Meta(name="east-kubeconfig"), data=data, type="cluster.x-k8s.io/secret")
    assert kubeconfig_in(theirs) == "apiVersion: v1"
    assert kubeconfig_in(replace(theirs, type="Opaque")) == ""
    assert kubeconfig_in(replace(theirs, data={})) == ""
    assert kubeconfig_in(None) == ""

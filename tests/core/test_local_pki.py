"""Keys and certificates of a local cluster, as others check them."""

import datetime
import json
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from mesh_local.kubeconfig import write_admin_kubeconfig, write_kubeconfigs
from mesh_local.layout import ClusterFiles, SetFiles
from mesh_local.pki import make_pki
from mesh_local.plan import Request, SetPlan, plan_set

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def files(tmp_path: Path) -> SetFiles:
    return SetFiles(tmp_path)


def made(files: SetFiles, *, light: bool = False) -> SetPlan:
    plan = plan_set(Request(clusters=("east", "west"), light=light), subnet=IPv4Network("172.31.0.0/24"))
    for cluster in plan.clusters:
        make_pki(cluster, files=files.cluster(cluster), now=NOW)
        write_kubeconfigs(cluster, files=files.cluster(cluster))
    write_admin_kubeconfig(plan, files=files)
    return plan


def certificate(files: ClusterFiles, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files.certificate(name).read_bytes())


def verify(files: ClusterFiles, name: str, *, authority: str) -> None:
    """As a strict verifier of clients does; raises VerificationError."""
    verifier = PolicyBuilder().time(NOW).store(Store([certificate(files, authority)]))
    verifier.build_client_verifier().verify(certificate(files, name), [])


def test_a_certificate_says_who_its_holder_is_to_kubernetes(files: SetFiles) -> None:
    own = files.cluster(made(files).clusters[0])
    expected = {
        "admin": "O=system:masters,CN=kubernetes-admin",
        "kubelet-east": "O=system:nodes,CN=system:node:east",
        "scheduler": "CN=system:kube-scheduler",
    }
    for name, subject in expected.items():
        parts = [attribute.rfc4514_string() for attribute in certificate(own, name).subject]
        assert ",".join(parts) == subject


def test_servers_are_verified_under_every_name_they_are_called_by(files: SetFiles) -> None:
    own = files.cluster(made(files).clusters[0])
    store = Store([certificate(own, "ca")])
    policy = PolicyBuilder().time(NOW).store(store)
    for host in ("kubernetes.default.svc", "localhost"):
        policy.build_server_verifier(x509.DNSName(host)).verify(certificate(own, "apiserver"), [])
    for address in ("172.31.0.11", "10.96.0.1", "127.0.0.1"):
        name = x509.IPAddress(IPv4Network(address).network_address)
        policy.build_server_verifier(name).verify(certificate(own, "apiserver"), [])


def test_nobody_but_the_front_proxys_authority_makes_front_proxies(files: SetFiles) -> None:
    own = files.cluster(made(files).clusters[0])
    with pytest.raises(VerificationError):
        verify(own, "front-proxy-client", authority="ca")
    with pytest.raises(VerificationError):
        verify(own, "admin", authority="front-proxy-ca")


def test_one_clusters_administrator_is_nobody_in_another(files: SetFiles) -> None:
    plan = made(files)
    east, west = (files.cluster(cluster) for cluster in plan.clusters)
    foreign = certificate(east, "admin")
    verifier = PolicyBuilder().time(NOW).store(Store([certificate(west, "ca")])).build_client_verifier()
    with pytest.raises(VerificationError):
        verifier.verify(foreign, [])


def test_keys_and_kubeconfigs_are_for_their_owner_alone(files: SetFiles) -> None:
    made(files)
    secrets = [*files.folder.rglob("*.key"), *files.folder.rglob("kubeconfigs/*"), files.kubeconfig]
    assert len(secrets) > 20
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}


def test_the_kubeconfig_for_people_has_a_context_for_each_cluster_and_starts_with_the_first(
    files: SetFiles,
) -> None:
    made(files)
    document = json.loads(files.kubeconfig.read_text())
    assert [context["name"] for context in document["contexts"]] == ["east", "west"]
    assert document["current-context"] == "east"
    servers = [cluster["cluster"]["server"] for cluster in document["clusters"]]
    assert servers == ["https://172.31.0.11:6443", "https://172.31.0.21:6443"]


def test_a_light_cluster_has_no_identities_for_servers_that_it_does_not_run(files: SetFiles) -> None:
    own = files.cluster(made(files, light=True).clusters[0])
    names = {path.stem for path in own.pki.glob("*.crt")}
    assert names == {"ca", "front-proxy-ca", "front-proxy-client", "apiserver", "admin"} | {
        "apiserver-kubelet-client"
    }

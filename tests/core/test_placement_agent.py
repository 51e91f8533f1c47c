"""What an agent is told, what it keeps, what it asks, and what it tells: by table."""

import base64
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec.structs import replace

from mesh_core.objects import (
    CertificateSigningRequest,
    ClusterProperty,
    Node,
    Secret,
    Service,
)
from mesh_placement.decide.agent_report import (
    LONGEST_VALUE,
    MOST_RANGES,
    ApiFacts,
    MemberFacts,
    agent_report,
    is_news,
    pod_ranges,
    wanted_properties,
)
from mesh_placement.decide.agent_settings import HubSettings, UnreadableSettings, read_settings
from mesh_placement.decide.asking import Answer, Approved, Refused, Signed, answer_to
from mesh_placement.decide.credential import Credential, read_kept, retry_seconds, secret_data
from mesh_placement.names import SIGNER_CLAIM, SIGNER_CLIENT
from mesh_placement.objects import (
    AgentReport,
    GatewayAddress,
    NamedValue,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = HubSettings(server="https://hub:6443", ca="pem", cluster="east", cluster_set="prod")


def secret(**texts: str) -> Secret:
    data = {name.replace("_", "-"): base64.b64encode(text.encode()).decode() for name, text in texts.items()}
    if "ca" in data:
        data["ca.crt"] = data.pop("ca")
    return msgspec.convert({"metadata": {"name": "placement-hub"}, "data": data}, Secret)


TOLD = {"server": "https://hub:6443/", "ca": "pem", "cluster_id": "east", "cluster_set": "prod"}


def test_settings_are_read_with_what_is_meant_by_silence() -> None:
    assert read_settings(secret(**TOLD)) == SETTINGS
    full = read_settings(
        secret(**TOLD, driver="token", mode="Auto", access="true", advertise="https://m", token="a.b\n")
    )
    assert (full.driver, full.mode, full.access, full.advertise) == ("token", "Auto", True, "https://m")
    assert (full.token, full.token_id) == ("a.b", "a")
    assert full.standing == replace_token(full)
    assert "a.b" not in repr(full)


def replace_token(settings: HubSettings) -> HubSettings:
    return HubSettings(**{name: getattr(settings, name) for name in settings.__slots__ if name != "token"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"server": "http://hub"},
        {"server": ""},
        {"ca": ""},
        {"cluster_id": ""},
        {"driver": "x"},
        {"mode": "x"},
    ],
)
def test_settings_that_cannot_be_used_say_what_to_do(wrong: dict[str, str]) -> None:
    with pytest.raises(UnreadableSettings, match="meshctl register"):
        read_settings(secret(**{**TOLD, **wrong}))


CREDENTIAL = Credential(
    server="https://hub:6443",
    cluster="east",
    obtained=NOW,
    expires=NOW + timedelta(hours=1),
    token="t",
    registration_uid="u",
    namespace="cluster-east",
)


def kept_secret(data: dict[str, str]) -> Secret:
    return msgspec.convert({"metadata": {"name": "placement-hub-credential"}, "data": data}, Secret)


def test_a_credential_that_was_kept_is_read_as_it_was() -> None:
    assert read_kept(kept_secret(secret_data(CREDENTIAL))).credential == CREDENTIAL
    assert read_kept(None).credential is None
    broken = {**secret_data(CREDENTIAL), "expires": "c29vbg=="}
    assert read_kept(kept_secret(broken)).credential is None


def test_a_credential_is_for_one_cluster_at_one_hub_with_one_driver() -> None:
    by_token = HubSettings("https://hub:6443", "pem", "east", "prod", driver="token")
    assert CREDENTIAL.is_for(by_token)
    assert not CREDENTIAL.is_for(SETTINGS)
    assert not CREDENTIAL.is_for(HubSettings("https://other", "pem", "east", "prod", driver="token"))
    assert not CREDENTIAL.is_for(HubSettings("https://hub:6443", "pem", "west", "prod", driver="token"))


@pytest.mark.parametrize(("jitter", "share"), [(0.0, 0.75), (0.5, 0.8), (0.999, 0.85)])
def test_it_is_renewed_at_four_fifths_of_what_the_hub_gave(jitter: float, share: float) -> None:
    life = CREDENTIAL.expires - CREDENTIAL.obtained
    passed = CREDENTIAL.renewal(jitter=jitter) - CREDENTIAL.obtained
    assert passed / life == pytest.approx(share, abs=0.001)


def test_a_renewal_that_fails_is_tried_again_before_the_end() -> None:
    assert retry_seconds(CREDENTIAL, now=NOW, wait=60.0) == 60.0
    assert retry_seconds(CREDENTIAL, now=NOW + timedelta(minutes=59), wait=60.0) == 15.0
    assert retry_seconds(CREDENTIAL, now=NOW + timedelta(hours=2), wait=60.0) == 1.0


def request(*conditions: str, signer: str = SIGNER_CLIENT, chain: str = "") -> CertificateSigningRequest:
    status = {
        "conditions": [{"type": one, "status": "True", "reason": "R", "message": "do"} for one in conditions],
        "certificate": base64.b64encode(chain.encode()).decode() if chain else None,
    }
    body = {"metadata": {}, "spec": {"request": "", "signerName": signer}, "status": status}
    return msgspec.convert(body, CertificateSigningRequest)


ANSWERS: list[tuple[CertificateSigningRequest, Answer | None]] = [
    (request(), None),
    (request("Approved"), None),
    (request("Approved", chain="pem"), Signed("pem")),
    (request("Denied"), Refused("Denied: R do")),
    (request("Approved", "Failed", chain="pem"), Refused("Failed: R do")),
    (request(signer=SIGNER_CLAIM), None),
    (request("Approved", signer=SIGNER_CLAIM), Approved()),
]


@pytest.mark.parametrize(("asked", "answer"), ANSWERS)
def test_a_request_ends_signed_approved_or_refused(
    asked: CertificateSigningRequest, answer: Answer | None
) -> None:
    assert answer_to(asked) == answer


def node(name: str, *ranges: str, labels: dict[str, str] | None = None) -> Node:
    spec = {"podCIDRs": list(ranges)}
    addresses = [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": name}]
    meta = {"name": name, "labels": labels or {}}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": {"addresses": addresses}}, Node)


def test_pod_ranges_are_put_together_and_widened_rather_than_many() -> None:
    assert pod_ranges([node("a", "10.0.0.0/24"), node("b", "10.0.1.0/24", "fd00::/64"), node("c", "x")]) == (
        "10.0.0.0/23",
        "fd00::/64",
    )
    scattered = [node(f"n{one}", f"10.{one // 100}.{one % 100 * 2}.0/24") for one in range(300)]
    ranges = pod_ranges(scattered)
    assert 1 <= len(ranges) <= MOST_RANGES
    assert "10.0.0.0/" in ranges[0]


def prop(name: str, value: str) -> ClusterProperty:
    return msgspec.convert({"metadata": {"name": name}, "spec": {"value": value}}, ClusterProperty)


def service(type: str, **status: object) -> Service:
    spec = {"type": type, "ports": [{"name": "mesh", "port": 15443, "nodePort": 31000}]}
    return msgspec.convert({"metadata": {"name": "gw"}, "spec": spec, "status": status}, Service)


def facts(*properties: ClusterProperty, gateway: Service | None = None) -> MemberFacts:
    labels = {"kubernetes.io/arch": "amd64", "topology.kubernetes.io/region": "eu-1"}
    api = ApiFacts(kubernetes="v1.33.1+k3s1", apis=("apps/v1", "v1"), service_cidrs=("10.96.0.0/16",))
    return MemberFacts(
        api=api,
        nodes=[node("a", "10.0.0.0/24", labels=labels)],
        gateway=gateway,
        properties=properties,
    )


def report(given: MemberFacts) -> AgentReport:
    return agent_report(given, settings=SETTINGS, version="1")


def test_a_report_says_what_the_member_is() -> None:
    found = report(facts(prop("network.meshctl.dev", "blue"), gateway=service("NodePort")))
    assert (found.kubernetes, found.apis) == ("v1.33.1+k3s1", ("apps/v1", "v1"))
    assert found.network.pod_cidrs == ("10.0.0.0/24",)
    assert found.network.service_cidrs == ("10.96.0.0/16",)
    assert found.network.gateways == (GatewayAddress(host="192.0.2.1", port=31000),)
    assert found.network.network == "blue"
    assert {one.name: one.value for one in found.properties} == {
        "architecture.meshctl.dev": "amd64",
        "distribution.meshctl.dev": "k3s",
        "network.meshctl.dev": "blue",
        "region.topology.meshctl.dev": "eu-1",
    }


def test_a_gateway_behind_a_load_balancer_is_named_by_its_address() -> None:
    balanced = service("LoadBalancer", loadBalancer={"ingress": [{"hostname": "gw.example"}]})
    found = report(facts(gateway=balanced)).network.gateways
    assert found == (GatewayAddress(host="gw.example", port=15443),)
    assert report(facts(gateway=service("LoadBalancer"))).network.gateways == ()


def test_what_somebody_wrote_outweighs_what_we_derive_and_a_long_value_shows_that_it_is() -> None:
    found = report(facts(prop("region.topology.meshctl.dev", "moon"), prop("long.example.com", "x" * 5000)))
    values = {one.name: one.value for one in found.properties}
    assert values["region.topology.meshctl.dev"] == "moon"
    assert len(values["long.example.com"]) == LONGEST_VALUE + 1


def test_a_pool_is_no_property_of_the_cluster_because_its_number_changes_all_the_time() -> None:
    found = report(facts(prop("addresses.pool.meshctl.dev", "12/127")))
    assert not any("pool" in one.name for one in found.properties)


def test_a_member_that_is_called_otherwise_in_the_mesh_says_so() -> None:
    (agrees,) = report(facts(prop("cluster.clusterset.k8s.io", "east"))).conditions
    assert agrees.status == "True"
    (differs,) = report(facts(prop("cluster.clusterset.k8s.io", "west"))).conditions
    assert (differs.status, differs.reason) == ("False", "PropertiesDiffer")
    assert "register the cluster under the name" in differs.message


def test_in_a_mesh_the_clusterset_is_the_meshs_and_the_id_is_one() -> None:
    own = prop("clusterset.k8s.io", "clusterset.internal")
    (differs,) = report(facts(own)).conditions
    assert differs.status == "False"
    (agrees,) = report(facts(own, gateway=service("NodePort"))).conditions
    assert agrees.status == "True"
    west = prop("cluster.clusterset.k8s.io", "west")
    (differs,) = report(facts(own, west, gateway=service("NodePort"))).conditions
    assert differs.status == "False" and "clusterset.internal" not in differs.message


def test_only_what_nobody_wrote_is_written_into_the_member() -> None:
    given = [prop("cluster.clusterset.k8s.io", "west")]
    assert wanted_properties(given, cluster="east", cluster_set="prod") == (("clusterset.k8s.io", "prod"),)
    assert wanted_properties(given, cluster="east", cluster_set="") == ()


def test_a_report_is_news_by_its_own_fields_alone() -> None:
    seen = report(facts())
    assert not is_news(seen, seen=replace(seen, clock="2026-01-01T00:00:00Z", cleared="uid", left="uid"))
    assert is_news(replace(seen, applies=False), seen=seen)
    assert is_news(replace(seen, properties=(NamedValue(name="a", value="b"),)), seen=seen)

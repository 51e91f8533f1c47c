"""`meshctl hub`, `token`, `register` and `clusters` as a person uses them, on servers that keep objects."""

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result

from mesh_cli.hub.register_manual import Refused
from mesh_cli.main import command
from mesh_core.names import PROPERTY_CLUSTER_ID, SYSTEM_NAMESPACE
from mesh_core.objects import Secret
from mesh_fakes.clusters import bare_cluster, with_controllers
from mesh_fakes.commands import Meshctl, complaint, done
from mesh_fakes.hub_server import HubServer, hub_served, serving
from mesh_fakes.object_server import Object, ObjectServer, served
from mesh_placement.decide.bootstrap_token import parse_token, read_token
from mesh_placement.names import (
    AGENT,
    AGENT_CREDENTIAL,
    AGENT_MANIFESTS,
    AGENT_SETTINGS,
    ANNOTATION_ACCEPT_KEY,
    ANNOTATION_FORCE_LEAVE,
    ANNOTATION_REFUSED,
    DEDICATED,
    HUB_ACCESS_ACCOUNT,
    HUB_INFO,
    TAINT_DRAIN,
)
from mesh_runtime.ca_pins import pins_of

PLACEMENT = "placement.meshctl.dev/v1alpha1"
TOKEN = "abc123.0123456789abcdef"
KEY = "sha256:" + "ab" * 32


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    kept = with_controllers(bare_cluster("hub"))
    server = HubServer(objects=kept.objects, reactions=kept.reactions)
    server.groups[TOKEN] = ("system:bootstrappers", "system:bootstrappers:meshctl:prod")
    with hub_served(tmp_path / "hub", server):
        yield server


@pytest.fixture
def member() -> Iterator[ObjectServer]:
    with served(with_controllers(bare_cluster("member"))) as server:
        yield server


@pytest.fixture
def meshctl(tmp_path: Path, hub: HubServer, member: ObjectServer) -> Meshctl:
    """Runs `meshctl` with the contexts `hub` and `m`, an administrator of each."""
    file = tmp_path / "kubeconfig"
    ca = base64.b64encode(hub.ca).decode()
    clusters = {"hub": {"server": hub.url, "certificate-authority-data": ca}, "m": {"server": member.url}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "hub",
        "clusters": [{"name": name, "cluster": cluster} for name, cluster in clusters.items()],
        "users": [
            {"name": "admin", "user": {"token": "admin-token"}},
            {"name": "cloud", "user": {"exec": {"command": "cloud-login", "apiVersion": "v1"}}},
        ],
        "contexts": [
            *({"name": name, "context": {"cluster": name, "user": "admin"}} for name in clusters),
            {"name": "cloud", "context": {"cluster": "m", "user": "cloud"}},
        ],
    }
    file.write_text(yaml.safe_dump(config))

    def run(*words: str) -> Result:
        return CliRunner().invoke(command, ["--kubeconfig", str(file), *words], standalone_mode=False)

    return run


def register(hub: HubServer, *more: str, token: str = TOKEN, pin: str = "") -> tuple[str, ...]:
    pin = pin or pins_of(hub.ca, what="hub")[0]
    words = ("--hub", hub.url, "--token", token, "--ca-hash", pin, "--cluster-id", "east-1")
    return "register", "--context", "m", *words, "--timeout", "5", *more


def told(secret: Object) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


def let_in(server: ObjectServer, item: Object) -> None:
    """The agent does its part: it has got a credential."""
    if (item.get("kind"), item["metadata"]["name"]) == ("Deployment", AGENT):
        meta = {"name": AGENT_CREDENTIAL, "namespace": SYSTEM_NAMESPACE}
        server.put("v1", "secrets", {"metadata": meta, "data": {"tls.crt": "eA=="}})


def a_cluster(hub: ObjectServer, **spec: Any) -> Object:
    body = {"metadata": {"name": "east-1"}, "spec": {"clusterSet": "prod", **spec}}
    return hub.put(PLACEMENT, "clusterregistrations", body)


def test_a_cluster_becomes_the_hub_and_says_in_public_who_it_is(meshctl: Meshctl, hub: HubServer) -> None:
    hub.remove("configmaps", HUB_INFO)
    out = done(meshctl("hub", "init", "--clusterset", "prod"))
    assert hub.url in out and pins_of(hub.ca, what="hub")[0] in out
    info = hub.get("configmaps", HUB_INFO)["data"]
    assert info == {"server": hub.url, "ca.crt": hub.ca.decode()}
    assert hub.get("clustersets", "prod")["spec"]["profileNamespace"] == "clusterset-prod"
    assert hub.find("deployments", "placement-hub") and hub.find("deployments", "placement-access")
    carried = hub.get("configmaps", AGENT_MANIFESTS)["data"]
    kinds = {(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(carried["agent.yaml"])}
    assert ("Deployment", AGENT) in kinds and ("ClusterRole", HUB_ACCESS_ACCOUNT) not in kinds
    assert HUB_ACCESS_ACCOUNT in carried["access.yaml"]
    before = hub.versions()
    hub.put(PLACEMENT, "clustersets", {"metadata": {"name": "prod"}, "spec": {"connectivity": "Isolated"}})
    done(meshctl("hub", "init", "--clusterset", "prod"))
    after = hub.versions()
    assert {name for name in after if after[name] != before[name]} == {"clustersets//prod"}
    assert "token create" in done(meshctl("hub", "init", "--clusterset", "prod"))


def test_a_hub_is_dedicated_by_a_persons_word_which_stays_until_he_says_otherwise(
    meshctl: Meshctl, hub: HubServer
) -> None:
    said = []
    for words in (("--dedicated",), (), ("--shared",), ()):
        done(meshctl("hub", "init", "--clusterset", "prod", *words))
        said.append(hub.get("configmaps", HUB_INFO)["data"][DEDICATED])
    assert said == ["true", "true", "false", "false"]


def test_an_address_that_does_not_show_the_ca_makes_no_hub(
    meshctl: Meshctl, hub: HubServer, tmp_path: Path
) -> None:
    ca, _ = serving(tmp_path / "other")
    (tmp_path / "other.crt").write_bytes(ca)
    before = hub.versions()
    assert "does not answer with that CA" in complaint(
        meshctl("hub", "init", "--ca-file", str(tmp_path / "other.crt"))
    )
    assert hub.versions() == before


def test_a_token_is_a_bootstrap_token_of_its_set_and_its_command_is_whole(
    meshctl: Meshctl, hub: HubServer
) -> None:
    hub.put(PLACEMENT, "clustersets", {"metadata": {"name": "prod"}, "spec": {}})
    line = done(meshctl("token", "create", "--clusterset", "prod", "--auto-accept", "--ttl", "2h"))
    words = dict(zip(line.split()[2::2], line.split()[3::2], strict=True))
    assert words["--hub"] == hub.url and words["--ca-hash"] == pins_of(hub.ca, what="hub")[0]
    token = parse_token(words["--token"])
    secret = hub.get("secrets", f"bootstrap-token-{token.id}")
    facts = read_token(msgspec.convert(secret, Secret))
    assert facts is not None and facts.cluster_set == "prod" and facts.auto_accept
    listed = json.loads(done(meshctl("token", "list", "-o", "json")))
    assert [(one["id"], one["autoAccept"], one["claimedBy"]) for one in listed] == [(token.id, True, None)]
    shown = done(meshctl("token", "list"))
    assert token.id in shown and token.secret not in shown
    done(meshctl("token", "revoke", token.text))
    assert hub.find("secrets", f"bootstrap-token-{token.id}") is None
    assert "no token" in complaint(meshctl("token", "revoke", token.id))
    assert done(meshctl("token", "list")) == "no tokens\n"


def test_a_token_names_a_set_that_is_there(meshctl: Meshctl, hub: HubServer) -> None:
    hub.put(PLACEMENT, "clustersets", {"metadata": {"name": "prod"}, "spec": {}})
    own = done(meshctl("token", "create", "--clusterset", "prod", "--cluster-id", "east"))
    assert "--cluster-id east" in own
    assert "use one of: prod" in complaint(meshctl("token", "create", "--clusterset", "dev"))
    hub.remove("configmaps", HUB_INFO)
    assert "is no hub" in complaint(meshctl("token", "create", "--clusterset", "prod"))


def test_a_member_is_told_of_its_hub_and_registered(
    meshctl: Meshctl, hub: HubServer, member: ObjectServer
) -> None:
    member.reactions.append(let_in)
    out = done(meshctl(*register(hub, "--allow-access", "--driver", "token")))
    assert f"east-1 is registered with the hub at {hub.url} in ClusterSet prod" in out
    assert told(member.get("secrets", AGENT_SETTINGS)) == {
        "server": hub.url,
        "ca.crt": hub.ca.decode(),
        "cluster-id": "east-1",
        "cluster-set": "prod",
        "driver": "token",
        "mode": "Manual",
        "token": TOKEN,
        "advertise": "",
        "access": "true",
    }
    assert member.find("clusterroles", HUB_ACCESS_ACCOUNT) is not None
    before = member.versions()
    done(meshctl(*register(hub, "--allow-access", "--driver", "token")))
    assert member.versions() == before


def test_without_consent_the_hub_has_no_way_in(
    meshctl: Meshctl, hub: HubServer, member: ObjectServer
) -> None:
    done(meshctl(*register(hub, "--no-wait")))
    assert told(member.get("secrets", AGENT_SETTINGS))["access"] == "false"
    assert member.find("clusterroles", HUB_ACCESS_ACCOUNT) is None


def test_who_waits_for_acceptance_is_told_so(meshctl: Meshctl, hub: HubServer) -> None:
    out = done(meshctl(*register(hub, "--timeout", "0.5")))
    assert "pending: waiting for acceptance" in out
    assert "next, on the hub: meshctl clusters accept east-1" in out


def test_who_does_not_wait_is_not_told_what_nobody_saw(meshctl: Meshctl, hub: HubServer) -> None:
    out = done(meshctl(*register(hub, "--no-wait")))
    assert "not waited for" in out and "pending" not in out
    assert out.rstrip().endswith("next, on the hub: meshctl clusters")


def test_what_the_hub_refuses_is_an_error_and_forgotten_at_the_next_try(
    meshctl: Meshctl, hub: HubServer, member: ObjectServer
) -> None:
    done(meshctl(*register(hub, "--no-wait")))
    why = "NameInUse: another key is east-1; choose another --cluster-id"
    body = {"metadata": {"name": AGENT_SETTINGS, "namespace": SYSTEM_NAMESPACE}}
    body["metadata"]["annotations"] = {ANNOTATION_REFUSED: why}  # type: ignore[assignment]  # JSON
    member.put("v1", "secrets", body)

    def refuse(server: ObjectServer, item: Object) -> None:
        if item["metadata"]["name"] == AGENT_SETTINGS and ANNOTATION_REFUSED not in item["metadata"].get(
            "annotations", {}
        ):
            server.put("v1", "secrets", body)

    done(meshctl(*register(hub, "--no-wait")))
    assert ANNOTATION_REFUSED not in member.get("secrets", AGENT_SETTINGS)["metadata"]["annotations"]
    member.reactions.append(refuse)
    result = meshctl(*register(hub, "--driver", "token"))
    assert isinstance(result.exception, Refused), result.output
    assert result.exception.what == "the hub refuses it: NameInUse: another key is east-1"
    assert result.exception.next_step == "choose another --cluster-id"


def test_a_token_goes_to_nobody_but_the_hub_whose_ca_was_named(
    meshctl: Meshctl, hub: HubServer, member: ObjectServer, tmp_path: Path
) -> None:
    before = member.versions()
    assert "not the one that was given" in complaint(meshctl(*register(hub, pin=KEY)))
    # Somebody in between, who tells the right CA and has another one himself.
    other, _ = serving(tmp_path / "other")
    hub.tell(ca=other)
    pin = pins_of(other, what="other")[0]
    assert "shows no certificate that is believed here" in complaint(meshctl(*register(hub, pin=pin)))
    assert not hub.shown
    assert member.versions() == before


def test_a_token_that_the_hub_does_not_know_changes_nothing(
    meshctl: Meshctl, hub: HubServer, member: ObjectServer
) -> None:
    before = member.versions()
    stranger = "zzz999.0123456789abcdef"
    assert "does not know the token zzz999" in complaint(meshctl(*register(hub, token=stranger)))
    assert "leads into ClusterSet prod" in complaint(meshctl(*register(hub, "--clusterset", "dev")))
    assert member.versions() == before


def test_a_cluster_that_is_somebody_already_is_left_alone(
    meshctl: Meshctl, hub: HubServer, member: ObjectServer
) -> None:
    meta = {"name": PROPERTY_CLUSTER_ID}
    member.put("about.k8s.io/v1beta1", "clusterproperties", {"metadata": meta, "spec": {"value": "west"}})
    assert "has the cluster id west" in complaint(meshctl(*register(hub)))
    member.remove("clusterproperties", PROPERTY_CLUSTER_ID)
    done(meshctl(*register(hub, "--no-wait")))
    meta = {"name": AGENT_CREDENTIAL, "namespace": SYSTEM_NAMESPACE}
    member.put("v1", "secrets", {"metadata": meta, "data": {"tls.crt": "eA=="}})
    elsewhere = base64.b64encode(b"https://another.example").decode()
    meta = {"name": AGENT_SETTINGS, "namespace": SYSTEM_NAMESPACE}
    member.put("v1", "secrets", {"metadata": meta, "data": {"server": elsewhere}})
    assert "with another hub already" in complaint(meshctl(*register(hub)))


def test_gitops_gets_all_objects_of_a_member_and_nothing_is_written(
    meshctl: Meshctl, hub: HubServer, member: ObjectServer
) -> None:
    before = member.versions()
    out = done(meshctl(*register(hub, "--dry-run", "-o", "yaml")))
    bodies = list(yaml.safe_load_all(out))
    assert bodies[0]["kind"] == "Namespace" and bodies[-1]["metadata"]["name"] == AGENT_SETTINGS
    assert told(bodies[-1])["token"] == TOKEN
    assert member.versions() == before and not hub.shown


def test_the_hub_gets_the_kubeconfig_of_a_member_that_it_dials(meshctl: Meshctl, hub: HubServer) -> None:
    hub.put(PLACEMENT, "clustersets", {"metadata": {"name": "default"}, "spec": {}})

    def join(server: ObjectServer, item: Object) -> None:
        if item["metadata"]["name"] == "east-1" and "status" not in item:
            body = {"metadata": item["metadata"], "status": {"phase": "Ready"}}
            server.put(PLACEMENT, "clusterregistrations", body)

    hub.reactions.append(join)
    words = ("--hub-context", "hub", "--context", "m", "--cluster-id", "east-1", "--allow-access")
    out = done(meshctl("register", *words, "--server", "https://m.example:6443", "--distribution", "Push"))
    assert "east-1 is registered (Ready) in ClusterSet default" in out
    said = told(hub.get("secrets", "placement-join-east-1"))
    kubeconfig = yaml.safe_load(said["kubeconfig"])
    assert said["access"] == "true"
    assert kubeconfig["clusters"][0]["cluster"]["server"] == "https://m.example:6443"
    assert kubeconfig["users"][0]["user"] == {"token": "admin-token"}
    spec = hub.get("clusterregistrations", "east-1")["spec"]
    assert spec == {
        "clusterSet": "default",
        "accepted": True,
        "mode": "Auto",
        "driver": "csr",
        "distribution": "Push",
    }


@pytest.mark.parametrize(
    ("context", "why"), [("m", "only this machine can reach"), ("cloud", "from a program (exec)")]
)
def test_a_kubeconfig_that_the_hub_cannot_use_is_refused(
    meshctl: Meshctl, hub: HubServer, context: str, why: str
) -> None:
    before = hub.versions()
    words = ("--hub-context", "hub", "--context", context, "--cluster-id", "east-1")
    assert why in complaint(meshctl("register", *words))
    assert hub.versions() == before


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--hub", "https://h", "--hub-context", "hub"),
        ("--hub", "https://h", "--token", TOKEN),
        ("--hub", "https://h", "--ca-hash", KEY),
        ("--hub", "https://h", "--token", TOKEN, "--ca-hash", KEY, "--server", "https://x"),
        ("--hub-context", "hub", "--token", TOKEN),
    ],
)
def test_words_that_contradict_each_other_are_wrong_usage(meshctl: Meshctl, words: tuple[str, ...]) -> None:
    result = meshctl("register", "--cluster-id", "east-1", *words)
    assert isinstance(result.exception, click.UsageError), result.exception


def test_a_person_lets_a_cluster_in_whose_key_he_knows(meshctl: Meshctl, hub: HubServer) -> None:
    a_cluster(hub)
    identity = {"metadata": {"name": "east-1"}, "status": {"id": {"uid": "u", "keyFingerprint": KEY}}}
    hub.put(PLACEMENT, "clusterregistrations", identity)
    other = "sha256:" + "cd" * 32
    assert "not by sha256:cd" in complaint(meshctl("clusters", "accept", "east-1", "--key", other))
    assert "accepted" not in hub.get("clusterregistrations", "east-1")["spec"]
    assert KEY in done(meshctl("clusters", "accept", "east-1", "--key", KEY))
    assert hub.get("clusterregistrations", "east-1")["spec"]["accepted"] is True
    before = hub.versions()
    done(meshctl("clusters", "accept", "east-1"))
    assert hub.versions() == before
    done(meshctl("clusters", "accept", "east-1", "--new-key", other))
    noted = hub.get("clusterregistrations", "east-1")["metadata"]["annotations"]
    assert noted == {ANNOTATION_ACCEPT_KEY: other}
    assert "no cluster west" in complaint(meshctl("clusters", "accept", "west"))


def test_taints_come_and_go_and_so_does_a_drain(meshctl: Meshctl, hub: HubServer) -> None:
    a_cluster(hub)
    out = done(meshctl("clusters", "taint", "east-1", "maintenance=now:NoSchedule", "slow:PreferNoSchedule"))
    assert out == "east-1 has the taints maintenance=now:NoSchedule, slow:PreferNoSchedule\n"
    done(meshctl("clusters", "drain", "east-1"))
    taints = hub.get("clusterregistrations", "east-1")["spec"]["taints"]
    (drain,) = [one for one in taints if one["key"] == TAINT_DRAIN]
    assert drain["effect"] == "NoExecute" and drain["timeAdded"] and len(taints) == 3
    done(meshctl("clusters", "drain", "east-1"))
    assert hub.get("clusterregistrations", "east-1")["spec"]["taints"] == taints
    done(meshctl("clusters", "undrain", "east-1"))
    assert done(meshctl("clusters", "untaint", "east-1", "maintenance-", "slow:PreferNoSchedule")) == (
        "east-1 has no taints\n"
    )


def test_leaving_is_deleting_the_registration_and_force_is_said_first(
    meshctl: Meshctl, hub: HubServer
) -> None:
    meta = {"name": "east-1", "finalizers": ["placement.meshctl.dev/registration"]}
    hub.put(PLACEMENT, "clusterregistrations", {"metadata": meta, "spec": {"clusterSet": "prod"}})
    assert "leaves" in done(meshctl("clusters", "leave", "east-1", "--workloads", "Orphan"))
    found = hub.get("clusterregistrations", "east-1")
    assert found["metadata"]["deletionTimestamp"] and found["spec"]["leave"]["workloads"] == "Orphan"
    assert ANNOTATION_FORCE_LEAVE not in found["metadata"].get("annotations", {})
    why = complaint(meshctl("clusters", "leave", "east-1", "--wait", "--timeout", "0.3"))
    assert "has not left after 0 s (no hub has looked yet)" in why and "--force" in why
    done(meshctl("clusters", "leave", "east-1", "--force"))
    assert hub.get("clusterregistrations", "east-1")["metadata"]["annotations"] == {
        ANNOTATION_FORCE_LEAVE: "true"
    }


def test_a_cluster_without_finalizer_has_left_at_once(meshctl: Meshctl, hub: HubServer) -> None:
    a_cluster(hub)
    assert done(meshctl("clusters", "leave", "east-1", "--wait")) == "east-1 has left\n"


def test_the_way_through_the_hub_is_the_hubs_own_kubeconfig_with_another_path(
    meshctl: Meshctl, hub: HubServer, tmp_path: Path
) -> None:
    a_cluster(hub)
    file = tmp_path / "east-1.kubeconfig"
    result = meshctl("clusters", "proxy", "east-1", "--file", str(file))
    assert "kubectl --kubeconfig" in done(result) and "does not let the hub's users in" in result.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    config = yaml.safe_load(file.read_text())
    (cluster,) = config["clusters"]
    path = "/apis/access.meshctl.dev/v1alpha1/clusters/east-1/proxy"
    assert cluster["cluster"]["server"] == hub.url + path
    assert base64.b64decode(cluster["cluster"]["certificate-authority-data"]) == hub.ca
    assert config["users"] == [{"name": "east-1", "user": {"token": "admin-token"}}]


def test_the_table_is_asked_of_the_context_before_or_behind_the_verb(
    meshctl: Meshctl, hub: HubServer
) -> None:
    a_cluster(hub, accepted=True)
    for output in ("json", "yaml"):
        (found,) = yaml.safe_load(done(meshctl("clusters", "-o", output)))["clusters"]
        assert (found["name"], found["clusterSet"], found["capacity"]) == ("east-1", "prod", None)
    assert "east-1" in done(meshctl("clusters", "--context", "hub"))
    assert "no cluster east-1" in complaint(meshctl("clusters", "--context", "m", "accept", "east-1"))

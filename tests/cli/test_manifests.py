"""What the shipped manifests promise: rights, privileges, names and kinds."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from mesh_cli.install.inventory import is_our_group
from mesh_cli.install.kustomize import Manifest, render
from mesh_cli.install.manifests import PROGRAM_IMAGE
from mesh_cli.install.shipped import Overlay, overlay_folder
from mesh_core import names
from mesh_dns.settings import Settings as DnsSettings
from mesh_dns.settings import settings_of as dns_settings_of
from mesh_gateway.limits import Limits
from mesh_gateway.settings import settings_of
from mesh_local.names import PROGRAM_IMAGE as LOCAL_PROGRAM_IMAGE
from mesh_runtime import kube

SHIPPED = render(overlay_folder(Overlay.LOAD_BALANCER))
PROGRAMS = (names.CONTROLLER, names.GATEWAY, names.DNS)
READING = {"get", "list", "watch"}


def of_kind(*kinds: str) -> list[Manifest]:
    return [one for one in SHIPPED if one["kind"] in kinds]


def named(kind: str, name: str) -> Manifest:
    (found,) = [one for one in of_kind(kind) if one["metadata"]["name"] == name]
    return found


def rules(program: str) -> Iterator[Manifest]:
    for role in of_kind("ClusterRole", "Role"):
        if role["metadata"]["name"] == program:
            yield from role["rules"]


def pod(program: str) -> Manifest:
    spec: Manifest = named("Deployment", program)["spec"]["template"]["spec"]
    return spec


def test_no_right_is_given_by_a_star() -> None:
    for role in of_kind("ClusterRole", "Role"):
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]


def test_only_the_controller_reads_secrets_and_only_its_own_by_name() -> None:
    kept = {names.INTERMEDIATE_SECRET, names.ISSUER_SECRET, names.INVITATIONS_SECRET}
    own = {*kept, names.JOIN_TOKEN_SECRET}
    for program in PROGRAMS:
        for rule in rules(program):
            if "secrets" in rule["resources"] and rule["verbs"] != ["create"]:
                assert program == names.CONTROLLER
                assert set(rule["resourceNames"]) <= own
                assert "delete" not in rule["verbs"] or not kept & set(rule["resourceNames"])


def test_nobody_in_the_cluster_may_sign_an_intermediate() -> None:
    signers = [rule for program in PROGRAMS for rule in rules(program) if "signers" in rule["resources"]]
    assert [rule["resourceNames"] for rule in signers] == [[names.SIGNER_LEAF]]
    assert [rule for rule in rules(names.CONTROLLER) if "signers" in rule["resources"]] == signers


@pytest.mark.parametrize("program", [names.GATEWAY, names.DNS])
def test_only_the_controller_writes_more_than_requests_for_leaves_how_peers_answer_and_leases(
    program: str,
) -> None:
    writes = {
        "meshpeers/status": {"patch"},
        "serviceprobes/status": {"patch"},
        "leases": {"create", "patch", "delete"},
    }
    writes = writes if program == names.GATEWAY else {}
    for rule in rules(program):
        if rule["resources"] != ["certificatesigningrequests"]:
            (resource, *_) = rule["resources"]
            assert set(rule["verbs"]) <= READING | writes.get(resource, set())


def test_the_gateway_asks_for_certificates_and_cannot_delete_the_requests_of_others() -> None:
    (rule,) = [one for one in rules(names.GATEWAY) if one["resources"] == ["certificatesigningrequests"]]
    assert set(rule["verbs"]) == READING | {"create"}


def test_the_gateway_reads_who_calls_and_changes_nothing_of_that() -> None:
    (rule,) = [one for one in rules(names.GATEWAY) if "pods" in one["resources"]]
    assert rule["apiGroups"] == [""]
    assert rule["resources"] == [kube.PODS.plural, kube.NODES.plural]
    assert set(rule["verbs"]) == READING


def test_dns_writes_nothing() -> None:
    assert all(set(rule["verbs"]) <= READING for rule in rules(names.DNS))


def test_dns_reads_what_its_names_come_from_who_asks_and_who_is_near_and_nothing_else() -> None:
    everywhere = named("ClusterRole", names.DNS)["rules"]
    kinds = (kube.SERVICE_IMPORTS, kube.ENDPOINT_SLICES, kube.NAMESPACES, kube.NODES, kube.MESH_PEERS)
    assert {
        (group, plural) for rule in everywhere for group in rule["apiGroups"] for plural in rule["resources"]
    } == {(kind.group, kind.plural) for kind in kinds}
    assert all(set(rule["verbs"]) == READING for rule in everywhere)


@pytest.mark.parametrize("program", [names.CONTROLLER, names.GATEWAY])
def test_the_trust_bundle_is_read_by_name(program: str) -> None:
    by_name = {rule["resources"][0]: rule.get("resourceNames") for rule in rules(program)}
    assert by_name["trustbundles"] == [names.TRUST_BUNDLE]


def test_what_peers_say_of_trust_goes_into_the_status_and_nobody_here_writes_the_spec_ruling_1() -> None:
    written = [
        (program, rule["resources"], rule.get("resourceNames"), set(rule["verbs"]))
        for program in PROGRAMS
        for rule in rules(program)
        if any(one.startswith("trustbundles") for one in rule["resources"])
        and not set(rule["verbs"]) <= READING
    ]
    assert written == [(names.CONTROLLER, ["trustbundles/status"], [names.TRUST_BUNDLE], {"patch"})]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_right_is_bound_to_the_account_that_the_pods_run_under(program: str) -> None:
    bindings = of_kind("ClusterRoleBinding", "RoleBinding")
    for binding in (one for one in bindings if one["metadata"]["name"] == program):
        assert binding["roleRef"]["name"] == program
        (subject,) = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == (program, names.SYSTEM_NAMESPACE)
    assert pod(program)["serviceAccountName"] == program
    assert named("ServiceAccount", program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_runs_twice_without_any_privilege(program: str) -> None:
    deployment, spec = named("Deployment", program), pod(program)
    (container,) = spec["containers"]
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert all(volume.keys() == {"name", "emptyDir"} for volume in spec.get("volumes", []))
    assert not any("hostPort" in port for port in container["ports"])


def test_the_api_server_holds_the_namespace_to_the_restricted_profile() -> None:
    labels = named("Namespace", names.SYSTEM_NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_is_started_by_its_package_and_probed_on_its_health_port(program: str) -> None:
    (container,) = pod(program)["containers"]
    assert container["command"] == ["python", "-m", program.replace("meshctl-", "mesh_")]
    assert {port["name"]: port["containerPort"] for port in container["ports"]}["health"] == names.HEALTH_PORT
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["startupProbe"]["httpGet"] == container["livenessProbe"]["httpGet"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}


def test_mesh_dns_answers_until_the_nodes_have_forgotten_it() -> None:
    """A defect: it ended before its probe had failed, and cluster DNS went on asking it."""
    spec = pod(names.DNS)
    (container,) = spec["containers"]
    probe, linger = container["readinessProbe"], DnsSettings().linger
    assert linger >= probe["periodSeconds"] * probe.get("failureThreshold", 3) + 5
    assert spec["terminationGracePeriodSeconds"] >= linger + 5


def test_the_gateway_has_time_to_end_in_good_order_and_a_place_for_its_routes() -> None:
    spec, limits = pod(names.GATEWAY), Limits()
    (container,) = spec["containers"]
    assert spec["terminationGracePeriodSeconds"] >= limits.unlisting + limits.settle + limits.drain + 5
    told = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    settings = settings_of([], environment=told)
    assert settings.limits == limits
    (mount,) = container["volumeMounts"]
    assert str(settings.snapshot) == mount["mountPath"]
    assert [volume["name"] for volume in spec["volumes"]] == [mount["name"]]


def test_the_dns_server_has_a_place_for_its_names_and_the_settings_of_the_code() -> None:
    spec = pod(names.DNS)
    (container,) = spec["containers"]
    told = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    settings = dns_settings_of(told)
    (mount,) = container["volumeMounts"]
    assert settings == DnsSettings(snapshot=Path(mount["mountPath"]))
    assert [volume["name"] for volume in spec["volumes"]] == [mount["name"]]


def test_the_image_carries_the_version_of_this_package() -> None:
    images = {pod(program)["containers"][0]["image"] for program in PROGRAMS}
    assert images == {f"{PROGRAM_IMAGE}:{version('clusterset-mesh')}"}
    assert PROGRAM_IMAGE == LOCAL_PROGRAM_IMAGE


@pytest.mark.parametrize(
    ("program", "ports"),
    [
        (
            names.CONTROLLER,
            {
                names.PEER_STREAM_PORT_NAME: (names.PEER_STREAM_PORT, names.PEER_STREAM_PORT),
                names.JOIN_PORT_NAME: (names.JOIN_PORT, names.JOIN_PORT),
            },
        ),
        (names.GATEWAY, {names.GATEWAY_PORT_NAME: (names.GATEWAY_PORT, names.GATEWAY_PORT)}),
        (names.DNS, {"dns": (53, names.DNS_PORT), "dns-tcp": (53, names.DNS_PORT)}),
    ],
)
def test_a_service_leads_to_the_port_that_the_program_listens_on(
    program: str, ports: dict[str, tuple[int, int]]
) -> None:
    (container,) = pod(program)["containers"]
    inside = {port["name"]: port["containerPort"] for port in container["ports"]}
    spec = named("Service", program)["spec"]
    assert {port["name"]: (port["port"], inside[port["targetPort"]]) for port in spec["ports"]} == ports
    labels = named("Deployment", program)["spec"]["template"]["metadata"]["labels"]
    assert spec["selector"].items() <= labels.items()
    assert named("PodDisruptionBudget", program)["spec"]["selector"]["matchLabels"] == spec["selector"]


def test_the_overlays_differ_in_the_type_of_the_gateways_service_and_the_label_that_keeps_it() -> None:
    node_port = render(overlay_folder(Overlay.NODE_PORT))
    differing = [
        (a, b)
        for a, b in zip(render(overlay_folder(Overlay.LOAD_BALANCER)), node_port, strict=True)
        if a != b
    ]
    by_kind = {theirs["kind"]: (ours, theirs) for ours, theirs in differing}
    assert len(by_kind) == len(differing) == 2
    ours, theirs = by_kind["Service"]
    assert (ours["spec"].pop("type"), theirs["spec"].pop("type")) == ("LoadBalancer", "NodePort")
    assert ours == theirs
    ours, theirs = by_kind["Namespace"]
    assert theirs["metadata"]["labels"].pop("meshctl.dev/service-type") == "nodeport"
    assert ours == theirs


OUR_RESOURCES: list[kube.Resource[Any]] = [
    *(kube.SERVICE_EXPORTS, kube.SERVICE_IMPORTS, kube.CLUSTER_PROPERTIES),
    *(kube.MESH_PEERS, kube.IMPORTED_RECORDS, kube.TRUST_BUNDLES),
]


@pytest.mark.parametrize("resource", OUR_RESOURCES, ids=lambda resource: resource.plural)
def test_a_kind_that_we_speak_is_installed_in_the_version_that_we_speak(
    resource: kube.Resource[Any],
) -> None:
    spec = named("CustomResourceDefinition", f"{resource.plural}.{resource.group}")["spec"]
    assert spec["names"]["kind"] == resource.kind
    assert spec["scope"] == ("Namespaced" if resource.namespaced else "Cluster")
    stored = [one["name"] for one in spec["versions"] if one["storage"]]
    assert stored == [resource.version]


@pytest.mark.parametrize(
    "name", [f"{plural}.multicluster.x-k8s.io" for plural in ("serviceexports", "serviceimports")]
)
def test_a_standard_kind_serves_two_versions_of_one_schema(name: str) -> None:
    definition = named("CustomResourceDefinition", name)
    alpha, beta = definition["spec"]["versions"]
    assert (alpha.pop("name"), beta.pop("name")) == ("v1alpha1", "v1beta1")
    assert (alpha.pop("storage"), beta.pop("storage")) == (False, True)
    assert alpha == beta
    assert alpha["served"]
    assert "conversion" not in definition["spec"]


def test_every_kind_of_ours_is_bounded() -> None:
    """A peer writes into these fields: an unbounded one is memory for whoever asks (ruling 11)."""

    def unbounded(schema: Manifest, path: str) -> Iterator[str]:
        if schema["type"] == "string" and not {"maxLength", "enum", "format"} & schema.keys():
            yield path
        if schema["type"] == "array":
            if "maxItems" not in schema:
                yield path
            yield from unbounded(schema["items"], f"{path}[]")
        if "additionalProperties" in schema:
            if "maxProperties" not in schema:
                yield path
            yield from unbounded(schema["additionalProperties"], f"{path}{{}}")
        for name, below in schema.get("properties", {}).items():
            if path or name in {"spec", "status"}:
                yield from unbounded(below, f"{path}.{name}")

    for definition in of_kind("CustomResourceDefinition"):
        if is_our_group(definition["spec"]["group"]):
            for one in definition["spec"]["versions"]:
                found = list(unbounded(one["schema"]["openAPIV3Schema"], ""))
                assert not found, (definition["metadata"]["name"], found)

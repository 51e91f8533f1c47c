"""What the manifests of registration promise: rights, programs, and kinds that hold exactly what we speak."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from msgspec import inspect

from mesh_cli.install.inventory import is_our_group
from mesh_cli.install.kustomize import Manifest, render
from mesh_cli.install.manifests import PROGRAM_IMAGE
from mesh_cli.install.shipped import manifests_folder
from mesh_core.names import HEALTH_PORT, SYSTEM_NAMESPACE
from mesh_core.objects import Condition
from mesh_placement import names, resources
from mesh_runtime.kube import Resource

ON_HUB = render(manifests_folder() / "overlays" / "hub")
ON_MEMBER = render(manifests_folder() / "overlays" / "member")
CONSENT = render(manifests_folder() / "placement" / "agent-access")
SHIPPED = ON_HUB + ON_MEMBER + CONSENT
PROGRAMS = {names.HUB: ON_HUB, names.ACCESS: ON_HUB, names.AGENT: ON_MEMBER}


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [one for one in manifests if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def roles(manifests: list[Manifest]) -> Iterator[Manifest]:
    return (one for one in manifests if one["kind"] in ("ClusterRole", "Role"))


def test_no_right_is_given_by_a_star_and_nobody_may_bind_or_escalate() -> None:
    for role in roles(SHIPPED):
        for rule in role.get("rules", ()):
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]
            assert not {"bind", "escalate"} & set(rule["verbs"])


def test_without_consent_a_member_gives_the_hubs_account_nothing() -> None:
    bindings = [one for one in ON_MEMBER if one["kind"].endswith("Binding")]
    subjects = {subject["name"] for one in bindings for subject in one["subjects"]}
    assert names.HUB_ACCESS_ACCOUNT not in subjects
    assert named(ON_MEMBER, "ServiceAccount", names.HUB_ACCESS_ACCOUNT)
    consented = {
        verb
        for role in roles(CONSENT)
        for rule in role["rules"]
        for verb in rule["verbs"]
        if role["metadata"]["name"] == names.HUB_ACCESS_ACCOUNT
    }
    assert consented == {"impersonate"}


def test_the_agent_acts_as_the_account_of_works_alone() -> None:
    acting = [
        (role["kind"], rule["resourceNames"])
        for role in roles(ON_MEMBER)
        for rule in role.get("rules", ())
        if "impersonate" in rule["verbs"]
    ]
    assert acting == [("Role", [names.WORK_ACCOUNT])]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_registration_is_started_by_its_package_and_probed_on_its_health_port(
    program: str,
) -> None:
    deployment = named(PROGRAMS[program], "Deployment", program)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    part = program.removeprefix("placement-")
    assert container["command"] == ["python", "-m", f"mesh_placement.{part}"]
    assert container["image"] == f"{PROGRAM_IMAGE}:{version('clusterset-mesh')}"
    assert {one["name"]: one["containerPort"] for one in container["ports"]}["health"] == HEALTH_PORT
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["startupProbe"]["httpGet"] == container["livenessProbe"]["httpGet"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    assert pod["serviceAccountName"] == program
    assert named(PROGRAMS[program], "ServiceAccount", program)["metadata"]["namespace"] == SYSTEM_NAMESPACE


def test_hub_and_access_run_twice_and_the_agent_never_does() -> None:
    for program in (names.HUB, names.ACCESS):
        spec = named(ON_HUB, "Deployment", program)["spec"]
        assert (spec["replicas"], spec["strategy"]["rollingUpdate"]["maxUnavailable"]) == (2, 0)
        budget = named(ON_HUB, "PodDisruptionBudget", program)["spec"]
        assert budget["selector"] == spec["selector"]
    spec = named(ON_MEMBER, "Deployment", names.AGENT)["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_every_part_of_registration_is_told_by_label_and_name() -> None:
    """`meshctl uninstall` finds them by both."""
    for one in SHIPPED:
        if one["kind"] not in ("CustomResourceDefinition", "Namespace"):
            assert one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "clusterset-mesh"
            name = one["metadata"]["name"]
            assert name.startswith("placement-") or name.endswith(f".{names.ACCESS_GROUP}")


# Kinds of several Structs in one list, hence Any.
KINDS: list[Resource[Any]] = [
    *(resources.CLUSTER_SETS, resources.CLUSTER_REGISTRATIONS, resources.CLUSTER_CAPACITIES),
    *(resources.CLUSTER_LINKS, resources.ASSIGNMENTS, resources.PLACEMENTS, resources.PLACEMENT_REPORTS),
    *(resources.CLUSTER_PROFILES, resources.WORKS, resources.APPLIED_WORKS, resources.PLACEMENT_DECISIONS),
]
OURS = [one for one in KINDS if is_our_group(one.group)]


def definition(resource: Resource[Any]) -> Manifest:
    return named(ON_HUB, "CustomResourceDefinition", f"{resource.plural}.{resource.group}")


def schema_of(resource: Resource[Any]) -> Manifest:
    (only,) = definition(resource)["spec"]["versions"]
    schema: Manifest = only["schema"]["openAPIV3Schema"]
    return schema


@pytest.mark.parametrize("resource", KINDS, ids=lambda one: one.plural)
def test_a_kind_of_registration_is_installed_in_the_version_that_we_speak(resource: Resource[Any]) -> None:
    spec = definition(resource)["spec"]
    assert spec["names"]["kind"] == resource.kind
    assert spec["scope"] == ("Namespaced" if resource.namespaced else "Cluster")
    assert [one["name"] for one in spec["versions"]] == [resource.version]


def test_standard_kinds_carry_no_age_so_that_nobodys_is_replaced() -> None:
    for resource in KINDS:
        aged = "crd-schema-revision" in str(definition(resource)["metadata"].get("labels"))
        assert aged == is_our_group(resource.group)


def parts_of(kind: inspect.StructType) -> list[inspect.Field]:
    """Spec and status; of a kind without them, all that is its own."""
    return [one for one in kind.fields if one.encode_name != "metadata"]


def missing(kind: inspect.Type, schema: Manifest, path: str) -> Iterator[str]:
    """Fields of a Struct that the schema would prune."""
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from missing(one, schema, path)
    elif isinstance(kind, inspect.VarTupleType):
        yield from missing(kind.item_type, schema.get("items", {}), f"{path}[]")
    elif isinstance(kind, inspect.StructType) and kind.cls is not Condition:
        for field in kind.fields:
            below = schema.get("properties", {}).get(field.encode_name)
            if below is None:
                yield f"{path}.{field.encode_name}"
            else:
                yield from missing(field.type, below, f"{path}.{field.encode_name}")


@pytest.mark.parametrize("resource", KINDS, ids=lambda one: one.plural)
def test_nothing_that_we_write_of_registration_is_pruned(resource: Resource[Any]) -> None:
    kind = inspect.type_info(resource.decoder.type)
    assert isinstance(kind, inspect.StructType)
    schema = schema_of(resource)
    parts = parts_of(kind)
    found = [
        lost
        for one in parts
        for lost in missing(one.type, schema["properties"][one.encode_name], f".{one.encode_name}")
    ]
    assert parts and not found


def unread(kind: inspect.Type, schema: Manifest, path: str) -> Iterator[str]:
    """Fields of the schema that the Struct does not read."""
    if isinstance(kind, inspect.UnionType):
        kind = next((one for one in kind.types if not isinstance(one, inspect.NoneType)), kind)
    if isinstance(kind, inspect.VarTupleType):
        yield from unread(kind.item_type, schema["items"], f"{path}[]")
    elif isinstance(kind, inspect.StructType) and kind.cls is not Condition:
        fields = {field.encode_name: field.type for field in kind.fields}
        for name, below in schema.get("properties", {}).items():
            if name in fields:
                yield from unread(fields[name], below, f"{path}.{name}")
            else:
                yield f"{path}.{name}"


@pytest.mark.parametrize("resource", OURS, ids=lambda one: one.plural)
def test_nothing_of_our_own_kinds_is_there_for_nobody(resource: Resource[Any]) -> None:
    kind = inspect.type_info(resource.decoder.type)
    assert isinstance(kind, inspect.StructType)
    schema = schema_of(resource)
    parts = parts_of(kind)
    found = [
        vain
        for one in parts
        for vain in unread(one.type, schema["properties"][one.encode_name], f".{one.encode_name}")
    ]
    assert not found


def unbounded(schema: Manifest, path: str) -> Iterator[str]:
    if schema.get("type") == "string" and not {"maxLength", "enum", "format"} & schema.keys():
        yield path
    if schema.get("type") == "array":
        if "maxItems" not in schema:
            yield path
        yield from unbounded(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        if "maxProperties" not in schema:
            yield path
        yield from unbounded(schema["additionalProperties"], f"{path}{{}}")
    for name, below in schema.get("properties", {}).items():
        if path or name not in {"apiVersion", "kind", "metadata"}:
            yield from unbounded(below, f"{path}.{name}")


@pytest.mark.parametrize("resource", OURS, ids=lambda one: one.plural)
def test_a_kind_that_members_write_is_bounded(resource: Resource[Any]) -> None:
    assert list(unbounded(schema_of(resource), "")) == []


def test_the_fence_names_the_account_that_the_hub_runs_under() -> None:
    fence = named(ON_HUB, "ValidatingAdmissionPolicy", "placement-hub-fence")["spec"]
    (condition,) = fence["matchConditions"]
    account = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{names.HUB}"
    assert condition["expression"] == f"request.userInfo.username == '{account}'"
    assert fence["failurePolicy"] == "Fail"
    bindings = [one for one in ON_HUB if one["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert {one["spec"]["policyName"] for one in bindings} == {
        one["metadata"]["name"] for one in ON_HUB if one["kind"] == "ValidatingAdmissionPolicy"
    }
    assert all(one["spec"]["validationActions"] == ["Deny"] for one in bindings)

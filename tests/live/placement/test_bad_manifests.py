"""Whatever rule of our kinds a manifest breaks, it is refused whole, with the field and with what is allowed.

The examples are made from the schemas, so a rule that is added is tried too; those in CEL stand by hand in
`test_placement_kinds` and `test_placements_refused`, and none may lack there.
"""

from pathlib import Path
from typing import Any

import pytest

from live.placement.test_placement_kinds import BORN_WRONG, CHANGED_WRONG
from live.placement.test_placements_refused import GOOD, REFUSED
from mesh_fakes.bad_values import Broken, Json, broken, cel_messages, fitting, parts_of, schemas_in
from mesh_fakes.bed import Bed
from mesh_placement.resources import (
    ASSIGNMENTS,
    CLUSTER_CAPACITIES,
    CLUSTER_CLAIMS,
    CLUSTER_LINKS,
    CLUSTER_REGISTRATIONS,
    CLUSTER_SETS,
    PLACEMENT_REPORTS,
    PLACEMENTS,
    RESOURCE_INTERPRETERS,
)
from mesh_runtime.kube import ApiError, KubeClient, Resource

SCHEMAS = schemas_in(Path(__file__).parents[3] / "manifests" / "crds" / "placement")
# Of several kinds, hence Any.
KINDS: dict[str, Resource[Any]] = {
    one.kind: one
    for one in (
        *(CLUSTER_SETS, CLUSTER_REGISTRATIONS, CLUSTER_CAPACITIES, CLUSTER_LINKS, ASSIGNMENTS),
        *(PLACEMENTS, PLACEMENT_REPORTS, CLUSTER_CLAIMS, RESOURCE_INTERPRETERS),
    )
}
WHOLE: dict[str, Json] = {
    "Placement": {"manifests": GOOD["manifests"]},
    "ResourceInterpreter": {"health": {"path": ".status.state", "healthy": ["Running"]}},
}
"""What specs need beyond what schemas tell: a rule in CEL asks for it."""
NAMES = {"ClusterCapacity": "capacity", "ClusterLink": "links"}


def body(kind: str, **parts: Json) -> Json:
    place = {"namespace": "default"} if KINDS[kind].namespaced else {}
    return {"metadata": {"name": NAMES.get(kind, "bad"), **place}, **parts}


def whole(kind: str) -> Json:
    """A spec that is taken."""
    least: Json = fitting(SCHEMAS[kind]["properties"].get("spec", {})) or {}
    return {**least, **WHOLE.get(kind, {})}


async def lacking(kube: KubeClient, kind: str, example: Broken, *, part: str) -> str:
    """What a refusal of the example does not say, or that there was none; "" when all is well."""
    resource, namespace = KINDS[kind], "default" if KINDS[kind].namespaced else ""
    try:
        if part != "status":
            said = {**WHOLE.get(kind, {}), **example.body[part]} if part == "spec" else example.body[part]
            await kube.create(resource, body(kind, **{part: said}))
        else:
            name = NAMES.get(kind, "bad")
            await kube.merge_patch(resource, name, example.body, namespace=namespace, subresource="status")
    except ApiError as error:
        words = [word for word in (example.field, *example.words) if word not in error.message]
        if error.status == 422 and not words:
            return ""
        return f"{example}: {error.status}, {words} not in {error.message[:300]}"
    return f"{example}: taken"


def test_all_kinds_are_looked_at() -> None:
    assert SCHEMAS.keys() == KINDS.keys()


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", SCHEMAS)
async def test_a_manifest_that_breaks_a_rule_is_refused_with_field_and_allowed_values(
    audited_pair: Bed, kind: str
) -> None:
    async with audited_pair.client("hub") as kube:
        before = len((await kube.list(KINDS[kind])).items)
        found = [
            await lacking(kube, kind, one, part=part)
            for part in parts_of(SCHEMAS[kind])
            if part != "status"
            for one in broken(SCHEMAS[kind], part=part)
        ]
        assert [one for one in found if one] == []
        assert len((await kube.list(KINDS[kind])).items) == before


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [kind for kind in SCHEMAS if "status" in SCHEMAS[kind]["properties"]])
async def test_a_status_that_breaks_a_rule_is_refused_and_nothing_of_it_is_kept(
    audited_pair: Bed, kind: str
) -> None:
    examples = broken(SCHEMAS[kind], part="status")
    assert examples
    name, namespace = NAMES.get(kind, "bad"), "default" if KINDS[kind].namespaced else ""
    async with audited_pair.client("hub") as kube:
        spec = whole(kind)
        made = await kube.create(KINDS[kind], body(kind, **({"spec": spec} if spec else {})))
        try:
            found = [await lacking(kube, kind, one, part="status") for one in examples]
            assert [one for one in found if one] == []
            now = await kube.get(KINDS[kind], name, namespace=namespace)
            assert now.metadata.resource_version == made.metadata.resource_version
        finally:
            await kube.delete(KINDS[kind], name, namespace=namespace)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_each_rule_in_cel_has_an_example_that_it_refuses(kind: str) -> None:
    words = [one[3] for one in BORN_WRONG.values()] + [one[6] for one in CHANGED_WRONG.values()]
    words += [one[2] for one in REFUSED.values()]
    said = cel_messages(SCHEMAS[kind])
    assert [message for message in said if not any(word in message for word in words)] == []

"""Every YAML block in the documentation is one that the API server would take, as far as our CRDs say so.

Kinds of Kubernetes itself are shown to a real API server by tests/live/test_docs_run.py.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from mesh_fakes.doc_blocks import ROOT, Block, all_blocks, blocks

Json = Any  # what YAML holds has no narrower type

OF_KUBERNETES = {"v1", "apps/v1", "networking.k8s.io/v1", "discovery.k8s.io/v1"}
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
YAML_BLOCKS = [one for one in all_blocks() if one.language == "yaml" and one.mark != "not ours"]


def schemas() -> dict[tuple[str, str], Json]:
    """The schema of each of our kinds and versions, by (apiVersion, kind)."""
    found = {}
    for file in (ROOT / "manifests" / "crds").rglob("*.yaml"):
        for one in yaml.safe_load_all(file.read_text()):
            if one and one["kind"] == "CustomResourceDefinition":
                spec = one["spec"]
                for version in spec["versions"]:
                    key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                    found[key] = version["schema"]["openAPIV3Schema"]
    return found


SCHEMAS = schemas()


def faults(value: Json, schema: Json, path: str, *, whole: bool) -> Iterator[str]:
    """What the API server would refuse or cut off; `whole` where required fields must be there too."""
    if schema.get("x-kubernetes-int-or-string"):
        return
    kind = TYPES.get(schema.get("type", ""))
    if kind and (not isinstance(value, kind) or (isinstance(value, bool) and kind != (bool,))):
        yield f"{path}: {value!r} is no {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{path}: {value!r} does not match {schema['pattern']}"
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from faults(one, schema.get("items", {}), f"{path}[{number}]", whole=whole)
    if isinstance(value, dict) and "..." not in value:
        yield from _of_object(value, schema, path, whole=whole)


def _of_object(value: dict[str, Json], schema: Json, path: str, *, whole: bool) -> Iterator[str]:
    known = schema.get("properties", {})
    if whole:
        yield from (f"{path}.{name} is needed" for name in schema.get("required", ()) if name not in value)
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource")
    for name, one in value.items():
        if name in known:
            yield from faults(one, known[name], f"{path}.{name}", whole=whole)
        elif isinstance(schema.get("additionalProperties"), dict):
            yield from faults(one, schema["additionalProperties"], f"{path}.{name}", whole=whole)
        elif not free and (known or "additionalProperties" not in schema) and path != ".metadata":
            yield f"{path}.{name}: no such field"


def refused(manifest: Json) -> list[str]:
    """Why this manifest cannot be meant; a piece without a version is looked at as the kind it names."""
    version, kind = manifest.get("apiVersion"), manifest.get("kind")
    if version is None and kind is None:
        return [f"{name}: a piece of what?" for name in manifest if name not in ("metadata", "spec")]
    if version in OF_KUBERNETES:
        return []
    named = [schema for (of, name), schema in SCHEMAS.items() if name == kind and version in (None, of)]
    if not named:
        return [f"{version} {kind}: nobody knows it"]
    content = {name: one for name, one in manifest.items() if name not in ("apiVersion", "kind")}
    schema = {**named[0], "properties": {**named[0]["properties"], "metadata": {"type": "object"}}}
    if version is None:
        return list(faults(content, schema, "", whole=False))
    return list(faults(content, schema, "", whole=True))


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=lambda one: one.place)
def test_a_block_of_yaml_is_one_that_an_api_server_takes(block: Block) -> None:
    manifests = [one for one in yaml.safe_load_all(block.text) if one]
    assert manifests
    assert [fault for one in manifests for fault in refused(one)] == []


def test_blocks_are_found() -> None:
    assert len(YAML_BLOCKS) > 6
    assert {version for version, _kind in SCHEMAS} >= {
        "meshctl.dev/v1alpha1",
        "multicluster.x-k8s.io/v1alpha1",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("apiVersion: multicluster.x-k8s.io/v1\nkind: ServiceExport", "nobody knows it"),
        (
            "apiVersion: meshctl.dev/v1alpha1\nkind: MeshPeer\nspec: {gateway: []}",
            ".spec.gateway: no such field",
        ),
        ("apiVersion: meshctl.dev/v1alpha1\nkind: MeshPeer\nspec: {dial: no}", "is no string"),
        ("apiVersion: meshctl.dev/v1alpha1\nkind: MeshPeer\nspec: {dial: never}", "is none of"),
        ("labels: {a: b}", "a piece of what?"),
    ],
)
def test_a_block_that_cannot_be_meant_is_told(text: str, why: str) -> None:
    (block,) = blocks(f"```yaml\n{text}\n```\n", page="x.md")
    assert why in " ".join(refused(yaml.safe_load(block.text)))

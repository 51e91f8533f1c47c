"""TrustBundle on a real API server: who may write what of it, and what nobody may (ruling 1)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from mesh_core.objects import TrustBundle
from mesh_core.objects.trust import LONGEST_TEXT, Signature, Signed
from mesh_fakes.bed import Bed
from mesh_fakes.clusterset import FakeClusterset
from mesh_runtime.kube import TRUST_BUNDLES, ApiError, KubeClient

pytestmark = pytest.mark.asyncio

ROOT = FakeClusterset().roots[0]
OTHER_ROOT = FakeClusterset().roots[0]
KEY = "0" * 64
# As long as one may be.
STATEMENT = Signed(text="x" * LONGEST_TEXT, signatures=tuple([Signature(key=KEY, value="v" * 200)] * 16))
SHORT = Signed(text="{}")
# What a test says of a spec: its values are whatever JSON has, hence Any.
Spec = dict[str, Any]
GOOD: Spec = {"domain": "clusterset.internal", "generation": 2, "roots": [ROOT]}
SIGNED: Spec = {**GOOD, "statement": msgspec.to_builtins(SHORT)}


def body(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "clusterset"}, **fields}


@asynccontextmanager
async def bundle(bed: Bed, spec: Spec) -> AsyncIterator[KubeClient]:
    """A client, and the bundle with that spec as `meshctl` writes it."""
    async with bed.client("alone") as kube:
        await kube.apply(TRUST_BUNDLES, body(spec=spec), field_manager="meshctl")
        try:
            yield kube
        finally:
            await kube.delete(TRUST_BUNDLES, "clusterset")


async def seen(kube: KubeClient) -> TrustBundle:
    return await kube.get(TRUST_BUNDLES, "clusterset")


async def test_the_longest_texts_are_stored_as_they_are_in_the_status_and_leave_the_spec_alone(
    light: Bed,
) -> None:
    status = {"generation": 3, "revision": 1, "statement": msgspec.to_builtins(STATEMENT)}
    status["revocations"] = msgspec.to_builtins(STATEMENT)
    async with bundle(light, SIGNED) as kube:
        applied = body(spec={**GOOD, "generation": 9}, status=status)
        await kube.apply(TRUST_BUNDLES, applied, field_manager="trust.test", subresource="status")
        found = await seen(kube)
        assert found.status.statement == STATEMENT
        assert found.spec.generation == 2
        later = body(status={"generation": 3, "revision": 1})
        await kube.apply(TRUST_BUNDLES, later, field_manager="trust.test", subresource="status")
        assert (await seen(kube)).status.statement is None


async def test_somebody_else_refuses_a_cluster_here_without_a_new_generation(light: Bed) -> None:
    async with bundle(light, {**SIGNED, "refusedHere": [{"cluster": "north"}]}) as kube:
        refused = {"cluster": "west", "keys": [KEY], "since": "2026-01-01T00:00:00Z", "why": "stolen"}
        await kube.apply(TRUST_BUNDLES, body(spec={"refusedHere": [refused]}), field_manager="meshctl-evict")
        assert {one.cluster for one in (await seen(kube)).spec.refused_here} == {"north", "west"}
        # The operator's next word takes back nothing that it did not say.
        await kube.apply(TRUST_BUNDLES, body(spec={**SIGNED, "generation": 3}), field_manager="meshctl")
        assert [one.why for one in (await seen(kube)).spec.refused_here] == ["stolen"]


@pytest.mark.parametrize(
    "spec",
    [
        GOOD,
        {"domain": "clusterset.internal", "pins": [KEY]},
        {"domain": "clusterset.internal", "statement": msgspec.to_builtins(SHORT), "generation": 1},
        {**SIGNED, "revocations": msgspec.to_builtins(SHORT)},
    ],
    ids=["roots alone", "pins alone", "a statement alone", "all"],
)
async def test_a_bundle_has_one_of_three_things_to_go_by(light: Bed, spec: Spec) -> None:
    async with bundle(light, spec) as kube:
        assert (await seen(kube)).spec.domain == "clusterset.internal"


@pytest.mark.parametrize(
    "spec",
    [
        {"domain": "clusterset.internal"},
        {"domain": "clusterset.internal", "roots": []},
        {**GOOD, "roots": ["no certificate"]},
        {**GOOD, "domain": "Upper.Case"},
        {**GOOD, "pins": ["short"]},
        {**GOOD, "refusedHere": [{"cluster": "a.b"}]},
        {**GOOD, "refusedHere": [{"why": "nobody"}]},
        {**GOOD, "statement": {"text": "x" * (LONGEST_TEXT + 1), "signatures": []}},
        {**GOOD, "statement": {"text": "{}"}},
    ],
    ids=lambda spec: json.dumps(spec)[:60],
)
async def test_a_bundle_that_cannot_be_is_refused(light: Bed, spec: Spec) -> None:
    async with light.client("alone") as kube:
        with pytest.raises(ApiError, match="422"):
            await kube.create(TRUST_BUNDLES, body(spec=spec))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"generation": 1}, "never goes back"),
        ({"roots": [OTHER_ROOT]}, "has a higher generation"),
        ({"statement": msgspec.to_builtins(STATEMENT)}, "has a higher generation"),
        ({"domain": "other.internal", "generation": 3}, "cannot be changed"),
    ],
)
async def test_a_bundle_never_goes_back_and_changes_under_a_new_number_only(
    light: Bed, change: Spec, why: str
) -> None:
    async with bundle(light, SIGNED) as kube:
        with pytest.raises(ApiError, match=why):
            await kube.merge_patch(TRUST_BUNDLES, "clusterset", {"spec": change})
        higher = {"generation": 3} | {key: value for key, value in change.items() if key == "statement"}
        await kube.merge_patch(TRUST_BUNDLES, "clusterset", {"spec": higher})
        with pytest.raises(ApiError, match="never goes back"):
            await kube.merge_patch(TRUST_BUNDLES, "clusterset", {"spec": {"generation": None}})

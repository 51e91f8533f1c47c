"""A cluster that went by a statement once does not fall back to what the root has signed for anybody."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from mesh_controller.intermediate_source import IntermediateSource, TrustReason
from mesh_core.objects.trust import RosterEntry, Signed
from mesh_core.trust import OPEN
from mesh_fakes.controller_trust import TrustScene, trust_scene
from mesh_fakes.membership import FakeMembership
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.kube import SECRETS, TRUST_BUNDLES
from mesh_runtime.pki import Authority
from mesh_runtime.trust_signing import key_id_of

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

HOUR = timedelta(hours=1)


def statement_of(scene: TrustScene, *, generation: int, own: Authority) -> Signed:
    """West alone is a member, with the key that it has made."""
    entry = RosterEntry(cluster="west", keys=(key_id_of(own.key.public_key()),))
    return scene.clusterset.statement(generation, roster=(entry,))


def noted(scene: TrustScene) -> str:
    secret = scene.source.secret
    return secret.metadata.annotations.get("meshctl.dev/statement-seen", "") if secret is not None else ""


async def until_noted(scene: TrustScene, note: str) -> None:
    await until(lambda: noted(scene) == note, limit=90)


async def test_a_restored_cluster_that_lost_its_statement_believes_nobody_until_it_has_one_again() -> None:
    """The statement stood in the status alone, and the backup has none."""
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        assert not noted(scene)
        own = await scene.source.authority_after(None)
        statement = statement_of(scene, generation=2, own=own)
        await scene.state(statement)
        await until_noted(scene, "clusterset.internal/2")
        secret = await scene.secret()
        assert secret is not None
        for leads in (False, True):
            async with trust_scene(ago=HOUR, leads=leads) as restored:
                meta = {"name": "meshctl-intermediate", "namespace": "meshctl-system"}
                body = {"metadata": {**meta, "annotations": secret.metadata.annotations}, "data": secret.data}
                await restored.api.client().create(SECRETS, body)
                await restored.join(roots=scene.clusterset.roots)
                await asyncio.sleep(60)
                assert (restored.source.current, restored.source.authority) == (None, None)
                assert restored.source.state.reason is TrustReason.TRUST_PENDING
                assert restored.source.state.message == (
                    "the statement of generation 2 that this cluster went by is gone; "
                    "run meshctl link with a member, or meshctl join"
                )
                await restored.state(statement)
                assert (await restored.standing()).settled == 2


async def test_a_bundle_that_is_made_anew_without_a_statement_takes_back_what_was_shown() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        own = await scene.source.authority_after(None)
        await scene.state(statement_of(scene, generation=2, own=own))
        await until_noted(scene, "clusterset.internal/2")
        await scene.api.client().delete(TRUST_BUNDLES, "clusterset")
        await scene.join()
        await asyncio.sleep(60)
        assert (scene.source.current, scene.source.authority) == (None, None)
        await scene.state(statement_of(scene, generation=3, own=own))
        assert (await scene.standing()).settled == 3
        await until_noted(scene, "clusterset.internal/3")


async def test_a_leaf_that_is_shown_is_dropped_also_when_nobody_saw_the_bundle_go() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        own = await scene.source.authority_after(None)
        await scene.state(statement_of(scene, generation=2, own=own))
        await until_noted(scene, "clusterset.internal/2")
        stated = scene.membership.current
        assert stated is not None
        membership = FakeMembership(stated)
        source = IntermediateSource(scene.api.client(), membership=membership, clock=scene.clock)
        async with under_way(source.run()):
            await until(lambda: source.current is not None, limit=90)
            membership.become(replace(stated, trust=OPEN))
            await until(lambda: source.current is None, limit=90)
            membership.become(stated)
            await until(lambda: source.current is not None, limit=90)


async def test_another_clusterset_may_have_no_statement_yet() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        secret = await scene.secret()
        assert secret is not None
        body = {"metadata": {"annotations": {"meshctl.dev/statement-seen": "other.internal/7"}}}
        client = scene.api.client()
        await client.merge_patch(SECRETS, "meshctl-intermediate", body, namespace="meshctl-system")
        await asyncio.sleep(60)
        assert scene.source.state.reason is TrustReason.TRUSTED

"""A hub loses all that it knew and is given its backup: members make nothing anew and lose nothing.

Nothing signs certificates on a light cluster, so the test does, with the CA of the hub's API server.
"""

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from mesh_cli.hub.backup_objects import read_hub, read_there
from mesh_cli.hub.restore import take
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.plan import Json
from mesh_core.signing import is_approved
from mesh_fakes.bed import Bed
from mesh_fakes.leaving_pair import CLUSTER, SPACE, Pair
from mesh_fakes.placement_parts import install_parts
from mesh_fakes.scripted_hub import signer_in
from mesh_fakes.waiting import until_found
from mesh_placement.decide.backup import Backup, backup_of, read_backup, text_of
from mesh_placement.decide.restoring import restore_plan
from mesh_placement.names import AGENT_CREDENTIAL, AGENT_SETTINGS, ANNOTATION_FORMERLY
from mesh_placement.resources import APPLIED_WORKS, ASSIGNMENTS, CLUSTER_REGISTRATIONS, WORKS
from mesh_placement.whole_objects import BY_KIND
from mesh_runtime.kube import CONFIG_MAPS, CSRS, NAMESPACES, SECRETS, ApiError, KubeClient
from mesh_runtime.request_answer import give

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def pair(pair_of_light: Bed) -> AsyncIterator[Pair]:
    install_parts(pair_of_light)
    async with pair_of_light.client("hub") as hub, pair_of_light.client("member") as member:
        found = Pair(pair_of_light, hub, member)
        await found.prepare()
        yield found


@asynccontextmanager
async def signing(pair: Pair) -> AsyncIterator[None]:
    """What was approved is signed."""
    signer = signer_in(Path(pair.bed.folder) / "hub" / "pki")

    async def look() -> None:
        while True:
            for request in (await pair.hub.list(CSRS)).items:
                if is_approved(request) and not request.status.certificate:
                    with suppress(ApiError):
                        await give(pair.hub, request, chain_pem=signer.signed(request, life=3600.0))
            await asyncio.sleep(0.2)

    task = asyncio.ensure_future(look())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def backup(pair: Pair) -> Backup:
    """By way of the file."""
    seen = await read_hub(pair.hub, with_secrets=True)
    made = backup_of(seen, server=pair.hub.server, at="2026-01-01T00:00:00Z", with_secrets=True)
    own = tuple(one for one in made.objects if CLUSTER in str(one["metadata"]))
    head = type(made.head)(server=made.head.server, at=made.head.at, objects=len(own))
    return read_backup(text_of(Backup(head=head, objects=own)))


async def wipe(pair: Pair, lost: Backup) -> None:
    """As if they had never been: nobody runs who would see a deletion."""
    for one in reversed(lost.objects):
        if one["kind"] == "Namespace":
            continue
        resource, meta = BY_KIND[one["kind"]], one["metadata"]
        place = meta.get("namespace", "")
        await pair.hub.merge_patch(
            resource, meta["name"], {"metadata": {"finalizers": None}}, namespace=place
        )
        await pair.hub.delete(resource, meta["name"], namespace=place)
    async with pair.namespaces_end():
        await pair.hub.delete(NAMESPACES, SPACE)

        async def is_gone() -> bool:
            return await pair.hub.find(NAMESPACES, SPACE) is None

        await until_found(is_gone)


async def restore(hub: KubeClient, kept: Backup, *, most: int = 10_000) -> int:
    plan = restore_plan(kept, there=await read_there(hub, kept), skip_existing=False)
    await take(hub, plan.steps[:most])
    return len(plan.steps)


def without_uids(kept: Backup) -> list[Json]:
    found = copy.deepcopy(list(kept.objects))
    for one in found:
        one["metadata"].pop("uid", None)
        one["metadata"].get("annotations", {}).pop(ANNOTATION_FORMERLY, None)
        if not one["metadata"].get("annotations", True):
            del one["metadata"]["annotations"]
    return found


async def applied(member: KubeClient) -> dict[str, str]:
    """UIDs of what the hub has brought, and of the inventory."""
    found = await member.get(CONFIG_MAPS, "kept", namespace="default")
    secret = await member.get(SECRETS, "login", namespace="default")
    inventory = await member.get(APPLIED_WORKS, "kept")
    return {one.metadata.name: one.metadata.uid for one in (found, secret, inventory)}


async def bring(pair: Pair) -> None:
    """A Work, and a Secret beside it."""
    meta = {
        "name": "login",
        "namespace": SPACE,
        "annotations": {"placement.meshctl.dev/target": "default/login"},
    }
    await pair.hub.create(SECRETS, {"metadata": meta, "stringData": {"word": "secret"}})
    place = {"name": "kept", "namespace": SPACE}
    spec = {"revision": 1, "works": ["kept"], "secrets": ["login"]}
    await pair.hub.create(ASSIGNMENTS, {"metadata": place, "spec": spec})
    await pair.bring("kept")

    async def is_there() -> bool:
        return await pair.member.find(SECRETS, "login", namespace="default") is not None

    await until_found(is_there)


async def cleared(pair: Pair) -> None:
    """Nothing is left that another test reads."""
    async with pair.hub_runs(), pair.namespaces_end(), pair.agent_runs():
        await pair.leave()
        await pair.force()
        await pair.until_gone()
    for request in (await pair.hub.list(CSRS)).items:
        await pair.hub.delete(CSRS, request.metadata.name)
    for name in (AGENT_SETTINGS, AGENT_CREDENTIAL):
        await pair.member.delete(SECRETS, name, namespace=SYSTEM_NAMESPACE)


@pytest.mark.parametrize("driver", ["csr", "token"])
async def test_members_of_a_restored_hub_make_nothing_anew_and_lose_nothing(pair: Pair, driver: str) -> None:
    async with signing(pair):
        async with pair.hub_runs(), pair.agent_runs():
            before = await pair.register(driver=driver, workloads="Delete")
            await bring(pair)
            kept = await backup(pair)
            at_first = await applied(pair.member)
        await wipe(pair, kept)
        # It is cut off in the middle while both run, and done again.
        async with pair.hub_runs(), pair.agent_runs():
            total = await restore(pair.hub, kept, most=3)
            # What the hub, which runs, has made again by itself meanwhile is not asked for.
            assert 0 < await restore(pair.hub, kept) <= total - 3
            if driver == "token":
                # Its token ended with its ServiceAccount; its key is the one that is pinned.
                await pair.tell_token()
            after = await pair.registered("Ready")
            assert after.metadata.uid != before.metadata.uid
            assert after.status.id == before.status.id
            # What is decided from now on comes to the member, so its agent is back at work.
            await pair.bring("later")
            assert await applied(pair.member) == at_first
            work = await pair.hub.get(WORKS, "kept", namespace=SPACE)
            assert work.metadata.deletion_timestamp is None
            await pair.hub.delete(WORKS, "later", namespace=SPACE)

            async def is_taken_back() -> bool:
                return await pair.hub.find(WORKS, "later", namespace=SPACE) is None

            await until_found(is_taken_back)
            assert await restore(pair.hub, kept) == 0
            assert without_uids(await backup(pair)) == without_uids(kept)
        await cleared(pair)
        assert await pair.hub.find(CLUSTER_REGISTRATIONS, CLUSTER) is None

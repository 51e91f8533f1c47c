"""Registering and leaving on real API servers, with real rights: what is left on either side afterwards.

ROUNDS=n leaves so often; every fifth time by force.
"""

import os
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_fakes.leaving_pair import CLUSTER, SPACE, Pair
from mesh_fakes.placement_parts import install_parts
from mesh_fakes.waiting import until_found
from mesh_placement.names import AGENT, TOMBSTONES
from mesh_placement.resources import CLUSTER_ROLES, ROLES
from mesh_runtime.kube import CONFIG_MAPS, NAMESPACES, KubeClient, api_resources, list_all

pytestmark = pytest.mark.asyncio
ROUNDS = int(os.environ.get("ROUNDS", "3"))
FORCED = max(1, ROUNDS // 5)


@pytest_asyncio.fixture
async def pair(pair_of_light: Bed) -> AsyncIterator[Pair]:
    install_parts(pair_of_light)
    async with pair_of_light.client("hub") as hub, pair_of_light.client("member") as member:
        found = Pair(pair_of_light, hub, member)
        await found.prepare()
        yield found


async def everything(kube: KubeClient) -> set[str]:
    """Every object but what comes and goes by itself."""
    listed = await list_all(kube, await api_resources(kube))
    return {
        f"{resource.kind} {one.metadata.namespace}/{one.metadata.name}"
        for resource, items in listed.items()
        for one in items
        if resource.kind not in {"Event", "Lease", "APIService", "IPAddress", "FlowSchema"}
    }


async def agents_objects(pair: Pair) -> set[str]:
    """What is left in the member of all that is named as the agent's."""
    named = {one for one in await everything(pair.member) if "/placement-" in one}
    # Roles of nobody, where the race was lost that `decide.parting` tells of.
    return named - {"ClusterRole /placement-agent", f"Role {SYSTEM_NAMESPACE}/placement-agent"}


async def until_without_agent(pair: Pair) -> None:
    """Wait until nothing is; what is left is in the error."""
    try:
        await until_found(lambda: _is_empty(pair))
    except TimeoutError:
        raise AssertionError(f"left in the member: {await agents_objects(pair)}") from None
    for resource, namespace in ((CLUSTER_ROLES, ""), (ROLES, SYSTEM_NAMESPACE)):
        role = await pair.member.find(resource, AGENT, namespace=namespace)
        assert role is None or role.metadata.owner_references, "what stays is left to a garbage collector"


async def _is_empty(pair: Pair) -> bool:
    return not await agents_objects(pair)


async def test_a_member_leaves_and_may_come_again_by_the_same_name(pair: Pair) -> None:
    async with pair.hub_runs(), pair.namespaces_end():
        for round_ in range(ROUNDS):
            hub_before, member_before = await everything(pair.hub), await everything(pair.member)
            async with pair.agent_runs():
                await pair.register(workloads="Delete")
                await pair.bring("settings")
                await pair.leave()
                await pair.until_gone()

                await until_without_agent(pair)
            # The first one brings what the ClusterSet has for all its members.
            assert round_ == 0 or await everything(pair.hub) - hub_before == set(), round_
            left = await everything(pair.member) - member_before
            assert {one for one in left if "Role /" not in one and "Role meshctl" not in one} == set(), round_


async def test_a_hub_without_anybody_who_ends_namespaces_says_so_and_goes_on(pair: Pair) -> None:
    async with pair.hub_runs(), pair.agent_runs():
        await pair.register(workloads="Delete")
        await pair.leave()

        async def is_ending() -> bool:
            found = await pair.hub.find(NAMESPACES, SPACE)
            return found is not None and found.metadata.deletion_timestamp is not None

        await until_found(is_ending)
        await pair.registered("Leaving")
        pair.later = timedelta(minutes=1)
        await pair.until_gone()
    async with pair.namespaces_end():

        async def has_ended() -> bool:
            return await pair.hub.find(NAMESPACES, SPACE) is None

        await until_found(has_ended)


async def test_forced_without_the_agent_it_is_told_when_it_comes_back(pair: Pair) -> None:
    async with pair.hub_runs(), pair.namespaces_end():
        for _ in range(FORCED):
            await is_forced_out_and_comes_back(pair)


async def is_forced_out_and_comes_back(pair: Pair) -> None:
    """Nobody asks the member; when its agent is back, it clears up."""
    async with pair.agent_runs():
        registration = await pair.register(workloads="Delete")
        await pair.bring("settings")
    await pair.leave()
    await pair.registered("Leaving")
    await pair.force()
    await pair.until_gone()

    async def is_let_go() -> bool:
        return not {one for one in await everything(pair.hub) if CLUSTER in one}

    await until_found(is_let_go)
    stones = await pair.hub.get(CONFIG_MAPS, TOMBSTONES, namespace="kube-public")
    assert registration.metadata.uid in stones.data
    assert await pair.member.find(CONFIG_MAPS, "settings", namespace="default") is not None
    async with pair.agent_runs():
        await until_without_agent(pair)
    assert await pair.member.find(CONFIG_MAPS, "settings", namespace="default") is None

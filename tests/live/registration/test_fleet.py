"""A hub, a member that it dialled in to, and one into which nobody can dial: the same must hold for both.

The tests build on one another, in their order: a member comes, is worked on, leaves, and comes again.
"""

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from live.api_server import api_server_of
from live.registration.fleet import AUTO, HUB, MANUAL, SHOP, Fleet, assignment, reaches, shop, work
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.waiting import until_found

pytestmark = pytest.mark.asyncio
both = pytest.mark.parametrize("member", [AUTO, MANUAL])
LIMIT = 90.0


async def until(so: Callable[[], bool], *, limit: float = LIMIT) -> None:
    """Waits for what commands are asked for."""
    await until_found(lambda: asyncio.to_thread(so), limit=limit)


def apply(fleet: Fleet, folder: Path, text: str, *, to: str = HUB) -> None:
    file = folder / "object.yaml"
    file.write_text(text)
    fleet.bed.kubectl(to, "apply", "-f", str(file))


def uids(fleet: Fleet, member: str) -> list[str]:
    """Of the Deployment and of its pods, but for those on their way out."""
    said = fleet.bed.kubectl(member, "-n", SHOP, "get", "deployments,pods", "-o", "json")
    items = json.loads(said)["items"]
    return sorted(one["metadata"]["uid"] for one in items if "deletionTimestamp" not in one["metadata"])


def condition(fleet: Fleet, member: str, name: str, kind: str) -> str:
    """Status of a condition of the Work `name`."""
    path = f"jsonpath={{.status.conditions[?(@.type=='{kind}')].status}}"
    return fleet.bed.kubectl(HUB, "-n", f"cluster-{member}", "get", "work", name, "-o", path)


def is_ready(fleet: Fleet, member: str) -> bool:
    return fleet.is_known(member) and fleet.row(member)["phase"] == "Ready"


def left_in_hub(fleet: Fleet, member: str) -> list[str]:
    """What of the member is still in the hub."""
    kinds = "clusterregistrations,clusterroles,clusterrolebindings,namespaces,csr"
    found = fleet.bed.kubectl(HUB, "get", kinds, "-o", "name").split()
    found += fleet.bed.kubectl(HUB, "get", "clusterprofiles", "-A", "-o", "name").split()
    # Not every word with `auto` in it is the member: there is a horizontal-pod-autoscaler.
    return [name for name in found if member in re.split(r"[^a-z0-9]", name)]


def left_in_member(fleet: Fleet, member: str) -> list[str]:
    """What of the agent and of its Works is still in the member."""
    found: list[str] = []
    for kinds in (
        "deployments,secrets,serviceaccounts,roles,rolebindings",
        "clusterroles,clusterrolebindings",
    ):
        found += fleet.bed.kubectl(member, "-n", SYSTEM_NAMESPACE, "get", kinds, "-o", "name").split()
    namespaces = fleet.bed.kubectl(member, "get", "namespaces", "-o", "name").split()
    return [name for name in found if "placement" in name] + [one for one in namespaces if one.endswith(SHOP)]


@both
async def test_a_member_comes_and_is_in_the_inventory(fleet: Fleet, member: str) -> None:
    await asyncio.to_thread(fleet.register, member)
    await until(lambda: is_ready(fleet, member))
    # Room is told of by another part of the agent, a moment later.
    await until(lambda: has_room(fleet.row(member)))
    row = fleet.row(member)
    assert row["access"] and row["kubernetes"].startswith("v1.")
    # A profile is written at most twice a minute, so the version may come with the second time.
    await until(lambda: version_in_profile(fleet, member) == row["kubernetes"])
    # The kubeconfig that the hub dialled in with, and a token that was used, are gone.
    await until(lambda: not {"placement-join", "bootstrap-token"} & secrets_in_hub(fleet))


def has_room(row: dict[str, Any]) -> bool:  # Any: JSON
    """Whether the inventory tells of its one node, and what is free there."""
    told = row["capacity"]
    return bool(told and told["nodes"] == 1 and told["available"].get("cpu"))


def secrets_in_hub(fleet: Fleet) -> set[str]:
    """What the names of the hub's Secrets begin with."""
    said = fleet.bed.kubectl(HUB, "get", "secrets", "-A", "-o", "name").split()
    return {"-".join(one.removeprefix("secret/").split("-")[:2]) for one in said}


def version_in_profile(fleet: Fleet, member: str) -> str:
    """What the standard inventory says of the member."""
    path = f"jsonpath={{.items[?(@.metadata.name=='{member}')].status.version.kubernetes}}"
    return fleet.bed.kubectl(HUB, "get", "clusterprofiles", "-A", "-o", path)


async def test_nobody_can_dial_in_to_the_manual_member(fleet: Fleet) -> None:
    assert await asyncio.to_thread(reaches, fleet.bed, HUB, AUTO)
    assert not await asyncio.to_thread(reaches, fleet.bed, HUB, MANUAL)
    assert await asyncio.to_thread(reaches, fleet.bed, MANUAL, HUB)


@both
async def test_work_is_applied_healed_and_told_of(fleet: Fleet, member: str, tmp_path: Path) -> None:
    apply(fleet, tmp_path, work(member, "web", *shop(fleet.program)) + "---\n" + assignment(member, "web"))
    await until(lambda: condition(fleet, member, "web", "Available") == "True")
    await until(lambda: condition(fleet, member, "web", "Applied") == "True")
    await until(lambda: observed(fleet, member) == {"web": 1})
    [before] = [uid for uid in uids(fleet, member) if uid in deployments(fleet, member)]
    fleet.bed.kubectl(member, "-n", SHOP, "delete", "deployment", "web", "--wait=false")
    await until(lambda: deployments(fleet, member) not in ([], [before]))
    await until(lambda: condition(fleet, member, "web", "Available") == "True")


def observed(fleet: Fleet, member: str) -> object:
    """Revisions that the member's room shows."""
    path = "jsonpath={.status.observedAssignments}"
    said = fleet.bed.kubectl(HUB, "-n", f"cluster-{member}", "get", "clustercapacity", "capacity", "-o", path)
    return json.loads(said or "{}")


def deployments(fleet: Fleet, member: str) -> list[str]:
    return fleet.bed.kubectl(
        member, "-n", SHOP, "get", "deployments", "-o", "jsonpath={.items[*].metadata.uid}"
    ).split()


@both
async def test_kubectl_works_by_the_hub_as_who_one_is(fleet: Fleet, member: str) -> None:
    alice = fleet.as_alice(member)
    await until(lambda: "Running" in alice.run("-n", SHOP, "get", "pods").stdout)
    assert "alice" in alice.done("auth", "whoami")
    # The pod of before may be on its way out, and the new one say nothing yet.
    await until(lambda: "tick" in alice.run("-n", SHOP, "logs", "deploy/web", "--tail=3").stdout)
    words = ("-n", SHOP, "exec", "deploy/web", "--", "python", "-c", "print(6 * 7)")
    await until(lambda: alice.run(*words).stdout.strip() == "42")
    nodes = alice.run("get", "nodes")
    assert nodes.returncode != 0 and 'User "alice" cannot list' in nodes.stderr
    settings = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "by-hub", "namespace": SHOP},
            "data": {"from": member},
        }
    )
    alice.done("apply", "-f", "-", given=settings)
    path = ("-n", SHOP, "get", "configmap", "by-hub", "-o", "jsonpath={.data.from}")
    assert alice.done(*path) == fleet.bed.kubectl(member, *path) == member


@both
async def test_what_goes_on_is_followed_by_the_hub(fleet: Fleet, member: str) -> None:
    alice = fleet.as_alice(member)
    await until(lambda: len(uids(fleet, member)) == 2)
    with alice.follow("-n", SHOP, "logs", "-f", "deploy/web", "--tail=1") as logs:
        lines = [await asyncio.wait_for(asyncio.to_thread(logs.readline), LIMIT) for _ in range(4)]
        assert lines == ["tick\n"] * 4
    with alice.follow("-n", SHOP, "get", "configmaps", "--watch-only", "-o", "name") as watch:
        seen = asyncio.create_task(asyncio.to_thread(watch.readline))
        made = 0
        while not seen.done() and made < 100:
            # The watch may not stand yet: what is made before it is not told.
            fleet.bed.kubectl(member, "-n", SHOP, "create", "configmap", f"seen-{made}")
            made += 1
            await asyncio.wait({seen}, timeout=0.5)
        assert (await asyncio.wait_for(seen, LIMIT)).startswith("configmap/seen-")


@both
async def test_hub_and_agent_take_turns_and_nothing_is_made_anew(
    fleet: Fleet, member: str, tmp_path: Path
) -> None:
    await until(lambda: len(uids(fleet, member)) == 2)
    before = uids(fleet, member)
    for who in ("Push", "Pull"):
        await takes_its_turn(fleet, member, who, tmp_path)
        assert uids(fleet, member) == before


async def takes_its_turn(fleet: Fleet, member: str, who: str, folder: Path) -> None:
    """From now on `who` applies, and does."""
    patch = json.dumps({"spec": {"distribution": who}})
    fleet.bed.kubectl(HUB, "patch", "clusterregistration", member, "--type=merge", "-p", patch)
    await until(lambda: pushes(fleet, member) is (who == "Push"))
    settings: dict[str, Any] = {  # Any: JSON
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "turn", "namespace": SHOP},
        "data": {"turn": who},
    }
    apply(fleet, folder, work(member, "turn", settings))
    path = ("-n", SHOP, "get", "configmap", "turn", "--ignore-not-found", "-o", "jsonpath={.data.turn}")
    await until(lambda: fleet.bed.kubectl(member, *path) == who)


def pushes(fleet: Fleet, member: str) -> bool:
    path = "jsonpath={.status.conditions[?(@.type=='Pushed')].status}"
    return fleet.bed.kubectl(HUB, "get", "clusterregistration", member, "-o", path) == "True"


def ways(fleet: Fleet) -> set[str]:
    """The pods of the access proxy that are ready."""
    said = fleet.bed.kubectl(
        HUB, "-n", SYSTEM_NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/component=access", "-o", "json"
    )
    return {
        one["metadata"]["name"]
        for one in json.loads(said)["items"]
        for found in one["status"].get("conditions", ())
        if (found["type"], found["status"]) == ("Ready", "True")
        and "deletionTimestamp" not in one["metadata"]
    }


async def test_callers_go_on_by_the_same_name_when_a_replica_of_the_way_is_killed(fleet: Fleet) -> None:
    alice = fleet.as_alice(MANUAL)
    await until(lambda: len(ways(fleet)) == 2)
    before = ways(fleet)
    killed = min(before)
    fleet.bed.kubectl(HUB, "-n", SYSTEM_NAMESPACE, "delete", "pod", killed, "--force", "--grace-period=0")
    in_a_row = 0

    def answers() -> bool:
        nonlocal in_a_row
        ended = alice.run("-n", SHOP, "get", "deploy/web", "-o", "name", "--request-timeout=20s")
        in_a_row = in_a_row + 1 if ended.stdout.strip() == "deployment.apps/web" else 0
        return in_a_row == 10

    await until(answers, limit=240)
    await until(lambda: len(ways(fleet)) == 2 and killed not in ways(fleet))


async def test_a_hub_that_is_away_changes_nothing_in_members(fleet: Fleet) -> None:
    before = {member: uids(fleet, member) for member in (AUTO, MANUAL)}
    stopped = datetime.now(UTC)
    server = api_server_of(fleet.bed, cluster=HUB)
    os.kill(server, signal.SIGSTOP)
    try:
        for member in (AUTO, MANUAL):
            await misses_its_hub(fleet, member, since=stopped)
            assert uids(fleet, member) == before[member]
    finally:
        os.kill(server, signal.SIGCONT)
    for member in (AUTO, MANUAL):
        await is_heard_again(fleet, member)
        assert uids(fleet, member) == before[member]


async def misses_its_hub(fleet: Fleet, member: str, *, since: datetime) -> None:
    from_then = f"--since-time={since:%Y-%m-%dT%H:%M:%SZ}"
    logs = ("-n", SYSTEM_NAMESPACE, "logs", "deploy/placement-agent", from_then)
    await until(lambda: "does not answer" in fleet.bed.kubectl(member, *logs), limit=180)


async def is_heard_again(fleet: Fleet, member: str) -> None:
    await until(lambda: is_ready(fleet, member), limit=180)


async def goes(left: Callable[[], list[str]], *, limit: float = 90.0) -> None:
    """Wait until nothing is left; if that does not come, say what is."""
    try:
        await until(lambda: left() == [], limit=limit)
    except TimeoutError:
        raise AssertionError(f"left: {left()}") from None


@both
async def test_a_member_leaves_and_nothing_stays_on_either_side(fleet: Fleet, member: str) -> None:
    await asyncio.to_thread(
        fleet.meshctl, "clusters", "leave", member, "--context", HUB, "--workloads", "Delete", "--wait"
    )
    await goes(lambda: left_in_hub(fleet, member))
    await goes(lambda: left_in_member(fleet, member))


@both
async def test_it_comes_again_under_the_same_name(fleet: Fleet, member: str, tmp_path: Path) -> None:
    await asyncio.to_thread(fleet.register, member)
    await until(lambda: is_ready(fleet, member))
    apply(fleet, tmp_path, work(member, "web", *shop(fleet.program)))
    await until(lambda: condition(fleet, member, "web", "Available") == "True")


@both
async def test_one_that_is_forced_out_clears_up_when_it_is_back(fleet: Fleet, member: str) -> None:
    agent = ("-n", SYSTEM_NAMESPACE, "scale", "deploy/placement-agent")
    fleet.bed.kubectl(member, *agent, "--replicas=0")
    await asyncio.to_thread(fleet.meshctl, "clusters", "leave", member, "--context", HUB, "--force", "--wait")
    await goes(lambda: left_in_hub(fleet, member))
    assert deployments(fleet, member), "nobody could ask the member"
    fleet.bed.kubectl(member, *agent, "--replicas=1")
    await goes(lambda: left_in_member(fleet, member), limit=180)

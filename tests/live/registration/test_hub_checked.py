"""`meshctl check` on a real hub: green while all is well, and it names what is not."""

import asyncio
import json
from collections.abc import Callable

import pytest

from live.registration.fleet import AUTO, HUB, Fleet
from mesh_core.names import HUB as PROGRAM
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.waiting import until_found

pytestmark = pytest.mark.asyncio

IDS = {f"MESH-PLACE-00{number}" for number in range(1, 6)}
Said = dict[str, tuple[str, str]]
"""By the id of a check its verdict, and what it tells, subjects and all."""


def checked(fleet: Fleet) -> Said:
    """What `meshctl check` says of the hub, whether it is well or not."""
    words = ("--kubeconfig", str(fleet.bed.kubeconfig), "check", "--context", HUB)
    ended = fleet.bed.meshctl(*words, "--only", "MESH-PLACE", "-o", "json")
    told = json.loads(ended.stdout)
    assert ended.returncode == (1 if told["summary"]["fail"] or told["summary"]["unknown"] else 0), (
        ended.stderr
    )
    return {
        one["id"]: (
            one["verdict"],
            "; ".join(f"{each['subject']} {each['seen']}" for each in one["observed"]),
        )
        for one in told["checks"]
    }


async def until_said(fleet: Fleet, so: Callable[[Said], bool]) -> Said:
    """What it says once that is so; if it does not come to that, what it says instead."""
    last: Said = {}

    async def is_so() -> bool:
        nonlocal last
        last = await asyncio.to_thread(checked, fleet)
        return so(last)

    try:
        await until_found(is_so, limit=180)
    except TimeoutError:
        raise AssertionError(f"check says {last}") from None
    return last


def is_well(said: Said) -> bool:
    return set(said) == IDS and all(verdict == "ok" for verdict, _ in said.values())


def scale(fleet: Fleet, cluster: str, program: str, replicas: int) -> None:
    words = ("-n", SYSTEM_NAMESPACE, "scale", f"deploy/{program}", f"--replicas={replicas}")
    fleet.bed.kubectl(cluster, *words)


async def test_a_hub_that_is_well_is_green_and_a_member_that_fell_silent_is_named(fleet: Fleet) -> None:
    await asyncio.to_thread(fleet.register, AUTO)
    await until_said(fleet, is_well)
    scale(fleet, AUTO, "placement-agent", 0)
    said = await until_said(fleet, lambda said: said["MESH-PLACE-001"][0] == "fail")
    assert AUTO in said["MESH-PLACE-001"][1]
    scale(fleet, AUTO, "placement-agent", 1)
    await until_said(fleet, is_well)


async def test_a_hub_that_does_not_run_is_named(fleet: Fleet) -> None:
    scale(fleet, HUB, PROGRAM, 0)
    try:
        said = await until_said(fleet, lambda said: said["MESH-PLACE-003"][0] == "fail")
        assert f"{PROGRAM} 0 of 0 pods ready" in said["MESH-PLACE-003"][1]
    finally:
        scale(fleet, HUB, PROGRAM, 2)
    await until_said(fleet, is_well)

"""The hub asks members for handshakes before it places, and goes by what they answer and when it heard it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from mesh_fakes.placing_scene import HUB_USER, PlacingScene, config_map, placing_scene
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import AGENT_MANAGER, HUB_MANAGER, LINKS
from mesh_placement.objects import ClusterLink
from mesh_placement.resources import CLUSTER_LINKS
from mesh_placement.schedule.plan import Plan
from mesh_placement.schedule.snapshot import Snapshot

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

# JSON, hence Any.
Json = dict[str, Any]
PAY = "shop/payments"
WRONG = "WrongIdentity: the certificate is of north"


class Members:
    """Clusters east and north that reach payments in west, east sooner; agents that answer when told to."""

    def __init__(self, scene: PlacingScene) -> None:
        self.scene = scene
        self._rows: dict[str, Json] = {}

    async def come(self) -> None:
        for name in ("east", "north", "west"):
            await self.scene.cluster(name)
            rtt = dict.fromkeys(("ewma", "p50", "p99"), 2.0 if name == "east" else 9.0)
            peers = [{"cluster": "west", "state": "Up", "rttMs": rtt}] if name != "west" else []
            exports = [{"service": PAY, "ready": 2}] if name == "west" else []
            self._rows[name] = {"peers": peers, "exports": exports, "handshakes": []}
            meta = {"name": LINKS, "namespace": f"cluster-{name}"}
            await self.scene.admin.apply(
                CLUSTER_LINKS, {"metadata": meta, "spec": {}}, field_manager=HUB_MANAGER
            )
            await self._write(name)

    async def answers(self, cluster: str, result: str, *, at: str = "2026-01-01T00:00:00Z") -> None:
        shake = {"service": PAY, "via": "west", "result": result, "at": at}
        self._rows[cluster]["handshakes"] = [shake]
        await self._write(cluster)

    async def link(self, cluster: str) -> ClusterLink:
        return await self.scene.admin.get(CLUSTER_LINKS, LINKS, namespace=f"cluster-{cluster}")

    async def asked(self, *clusters: str) -> None:
        """Wait until exactly these are asked for a handshake."""

        async def is_so() -> bool:
            found = {one: (await self.link(one)).spec.verify for one in self._rows}
            assert all((each.service, each.via) == (PAY, "west") for one in found.values() for each in one)
            return {one for one, verify in found.items() if verify} == set(clusters)

        await until_found(is_so)

    async def _write(self, cluster: str) -> None:
        body = {
            "metadata": {"name": LINKS, "namespace": f"cluster-{cluster}"},
            "status": self._rows[cluster],
        }
        await self.scene.admin.apply(CLUSTER_LINKS, body, field_manager=AGENT_MANAGER, subresource="status")


def spec(**of: Any) -> Json:  # Any: JSON
    need = {"name": "payments", "maxRTT": "40ms"}
    return {
        "manifests": [config_map(a="1")],
        "clusters": {"count": 1, "exclude": ["west"]},
        "require": {"services": [need | of]},
    }


async def where(scene: PlacingScene) -> list[str]:
    return [one.cluster for one in (await scene.placement()).status.clusters]


async def test_a_placement_comes_when_the_handshake_is_good_and_the_question_is_taken_out() -> None:
    async with placing_scene() as scene:
        members = Members(scene)
        await members.come()
        async with scene.placing(installed_scheduling()):
            await scene.place(**spec())
            await members.asked("east")
            assert await where(scene) == [] and await scene.works() == []
            (told,) = (await scene.placement()).status.conditions[:1]
            assert (told.reason, told.status) == ("Held", "False")
            assert told.message.startswith("probing east")
            await members.answers("east", "OK")
            assert await _comes(scene) == ["east"]
            await members.asked()
            assert (await scene.placement()).status.history[-1].cause == "first decision"


async def _comes(scene: PlacingScene) -> list[str]:
    await until_found(lambda: _is_somewhere(scene))
    return await where(scene)


async def _is_somewhere(scene: PlacingScene) -> bool:
    return bool(await where(scene))


async def test_a_bad_handshake_is_a_backoff_and_the_next_cluster_is_asked() -> None:
    async with placing_scene() as scene:
        members = Members(scene)
        await members.come()
        async with scene.placing(installed_scheduling()):
            await scene.place(**spec())
            await members.asked("east")
            await members.answers("east", WRONG)
            await members.asked("north")
            await members.answers("north", "NotProbed: no gateway runs there")
            assert await _comes(scene) == ["north"]
            memory = (await scene.placement()).status.memory
            assert [one["cause"] for one in memory["backoffs"]] == [f"handshake for {PAY} via west: {WRONG}"]


@pytest.mark.parametrize(("unknown", "asked"), [("Hold", True), ("Reject", True), ("Allow", False)])
async def test_who_does_not_answer_is_waited_for_fifteen_seconds_and_no_longer(
    unknown: str, asked: bool
) -> None:
    async with placing_scene() as scene:
        members = Members(scene)
        await members.come()
        async with scene.placing(installed_scheduling()):
            await scene.place(**spec(unknown=unknown))
            await members.asked("east")
            await asyncio.sleep(13)
            await members.asked("east")
            await asyncio.sleep(6)
            await members.asked(*(["north"] if asked else []))
            assert await where(scene) == ([] if asked else ["east"])


async def test_an_answer_from_before_the_question_and_one_that_never_changes_are_none() -> None:
    async with placing_scene() as scene:
        members = Members(scene)
        await members.come()
        # By a clock that is a century ahead, and said before anybody asked.
        await members.answers("east", "OK", at="2126-01-01T00:00:00Z")
        async with scene.placing(installed_scheduling()):
            await scene.place(**spec())
            await members.asked("east")
            await asyncio.sleep(5)
            assert await where(scene) == []
            await members.answers("east", "OK", at="2126-01-01T00:00:00Z")
            await asyncio.sleep(12)
            await members.asked("north")
            assert await where(scene) == []


async def test_the_next_leader_asks_anew_and_takes_out_what_nobody_waits_for() -> None:
    async with placing_scene() as scene:
        members = Members(scene)
        await members.come()
        async with scene.placing(installed_scheduling()):
            await scene.place(**spec())
            await members.asked("east")
        stale = {"spec": {"verify": [{"service": PAY, "via": "west"}]}}
        await scene.admin.merge_patch(CLUSTER_LINKS, LINKS, stale, namespace="cluster-north")
        async with scene.placing(installed_scheduling()):
            await members.asked("east")
            await members.answers("east", "OK")
            assert await _comes(scene) == ["east"]
            await members.asked()


async def test_what_is_said_of_things_nobody_asked_for_makes_no_decision() -> None:
    async with placing_scene() as scene:
        members = Members(scene)
        await members.come()
        cycles = []
        real = installed_scheduling()

        def counted(snapshot: Snapshot) -> Plan:
            cycles.append(snapshot.now)
            return real.schedule(snapshot)

        async with scene.placing(replace(real, schedule=counted)):
            await asyncio.sleep(60)
            before = len(cycles)
            for number in range(20):
                await members.answers("north", "OK", at=f"2026-01-01T00:00:{number:02}Z")
                await asyncio.sleep(1)
            assert len(cycles) == before, "news of numbers are gathered for half a minute"


async def test_a_member_that_fills_its_link_until_no_more_is_stored_keeps_nobody_from_being_asked() -> None:
    async with placing_scene() as scene:
        members = Members(scene)
        await members.come()
        scene.api.full.add((HUB_USER, f"clusterlinks/cluster-east/{LINKS}", "spec"))
        async with scene.placing(installed_scheduling()):
            await scene.place("there", **spec() | {"clusters": {"names": ["east"]}})
            await scene.place("app", **spec() | {"clusters": {"names": ["north"]}})
            await members.asked("north")
            await members.answers("north", "OK")
            await scene.decided(revision=1)
            assert await where(scene) == ["north"]

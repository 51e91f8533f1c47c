"""Verdicts of the failure table on registrations: noted before anything follows, kept by who leads next."""

from datetime import timedelta
from typing import Any

import pytest

from mesh_fakes.placing_scene import HUB_USER, PlacingScene, config_map, placing_scene
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import ANNOTATION_API_LOST, LEASE, LINKS
from mesh_placement.objects.standings import NotedStanding
from mesh_placement.resources import CLUSTER_LINKS, CLUSTER_REGISTRATIONS
from mesh_runtime.kube import LEASES

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

CLUSTERS = ("east", "south", "west")
TOLERATED = 60


async def says(scene: PlacingScene, teller: str, **states: str) -> None:
    """What a cluster's gateways find of its peers."""
    peers = [{"cluster": name, "state": state} for name, state in states.items()]
    body = {"metadata": {"name": LINKS, "namespace": f"cluster-{teller}"}, "status": {"peers": peers}}
    await scene.admin.apply(CLUSTER_LINKS, body, field_manager="test")


async def three_that_see_each_other(scene: PlacingScene) -> None:
    for name in CLUSTERS:
        await scene.cluster(name)
        others = [one for one in CLUSTERS if one != name]
        await says(scene, name, **dict.fromkeys(others, "Up"))


async def noted(scene: PlacingScene, cluster: str) -> NotedStanding | None:
    return (await scene.admin.get(CLUSTER_REGISTRATIONS, cluster)).status.standing


async def until_noted(scene: PlacingScene, cluster: str, verdict: str) -> None:
    async def is_so() -> bool:
        found = await noted(scene, cluster)
        return found is not None and found.verdict == verdict

    await until_found(is_so, limit=120.0)


async def until_in(scene: PlacingScene, *clusters: str) -> None:
    async def is_so() -> bool:
        found = (await scene.placement()).status.clusters
        return tuple(one.cluster for one in found) == clusters

    await until_found(is_so, limit=600.0)


async def test_a_new_leader_goes_on_where_a_cluster_was_found_dead_though_its_witnesses_fell_silent() -> None:
    tolerations = [{"key": "unreachable", "seconds": TOLERATED}]
    async with placing_scene() as scene:
        await three_that_see_each_other(scene)
        async with scene.placing(installed_scheduling()):
            await scene.place(
                clusters={"count": 1, "names": ["west", "east"]}, require={"tolerations": tolerations}
            )
            await scene.decided(revision=1)
            (first,) = (one.cluster for one in (await scene.placement()).status.clusters)
            (other,) = {"west", "east"} - {first}
            await says(scene, other, south="Up", **{first: "Down"})
            await says(scene, "south", **{first: "Down", other: "Up"})
            await scene.cluster(first, phase="Unreachable")
            await until_noted(scene, first, "Dead")
        since = await noted(scene, first)
        # Who could tell says nothing any more: a leader without the note would find nobody to ask.
        await says(scene, other, south="Up", **{first: "Unknown"})
        await says(scene, "south", **{first: "Unknown", other: "Up"})
        async with scene.placing(installed_scheduling()):
            await until_in(scene, other)
        assert await noted(scene, first) == since
        assert (await scene.placement()).status.history[-1].cause == f"{first}: Dead (Dead)"


async def test_what_was_never_found_dead_is_for_a_person_to_decide_whoever_leads() -> None:
    async with placing_scene() as scene:
        await three_that_see_each_other(scene)
        async with scene.placing(installed_scheduling()):
            await scene.place(clusters={"count": 1, "names": ["west"]})
            await scene.decided(revision=1)
            await says(scene, "east", south="Up", west="Unknown")
            await says(scene, "south", east="Up", west="Unknown")
            await scene.cluster("west", phase="Unreachable")
            await until_noted(scene, "west", "Unwitnessed")
        async with scene.placing(installed_scheduling()):
            scene.clock.start += timedelta(hours=1)
            await scene.place("other", clusters={"count": 1, "names": ["east"]}, manifests=[config_map("b")])
            await scene.decided("other", revision=1)
            await until_in(scene, "west")


async def test_an_agent_that_misses_its_own_api_server_gets_nothing_new_and_keeps_what_it_has() -> None:
    lease = {"metadata": {"name": LEASE, "namespace": "cluster-west"}}
    async with placing_scene() as scene:
        await three_that_see_each_other(scene)
        await scene.admin.create(LEASES, lease)
        async with scene.placing(installed_scheduling()):
            await scene.place(clusters={"names": ["west"]})
            await until_in(scene, "west")
            said = {"metadata": {"annotations": {ANNOTATION_API_LOST: "2026-01-01T00:00:00Z"}}}
            await scene.admin.merge_patch(LEASES, LEASE, said, namespace="cluster-west")
            await until_noted(scene, "west", "ApiDown")
            await scene.place("other", clusters={"names": ["west"]}, manifests=[config_map("b")])

            async def is_refused() -> bool:
                conditions = (await scene.placement("other")).status.conditions
                return any((one.type, one.reason) == ("Scheduled", "NoClusterFits") for one in conditions)

            await until_found(is_refused)
            await until_in(scene, "west")
            silent = {"metadata": {"annotations": {ANNOTATION_API_LOST: None}}}
            await scene.admin.merge_patch(LEASES, LEASE, silent, namespace="cluster-west")
            await until_noted(scene, "west", "Ok")
            await scene.decided("other", revision=1)


async def test_a_data_plane_that_is_down_drives_out_what_calls_across_and_nothing_else() -> None:
    tolerations = [{"key": "data-plane-down", "seconds": TOLERATED}]
    exposes = [{"service": "web", "toClusters": {"matchProperties": {"site": "nowhere"}}}]
    calls: dict[str, Any] = {  # Any: JSON
        "require": {"tolerations": tolerations, "exposes": exposes}
    }
    two = {"count": 1, "names": ["east", "west"]}
    async with placing_scene() as scene:
        await three_that_see_each_other(scene)
        async with scene.placing(installed_scheduling()):
            await scene.place(clusters=two, **calls)
            await scene.decided(revision=1)
            (first,) = (one.cluster for one in (await scene.placement()).status.clusters)
            (other,) = {"west", "east"} - {first}
            await scene.place("alone", clusters={"names": [first]}, manifests=[config_map("b")])
            await scene.decided("alone", revision=1)
            await says(scene, other, south="Up", **{first: "Down"})
            await says(scene, "south", **{first: "Down", other: "Up"})
            assert await noted(scene, first) is None, "the peers alone are one witness"
            await says(scene, first, south="Down", **{other: "Down"})
            await until_noted(scene, first, "DataPlaneDown")
            await until_in(scene, other)
            assert [one.cluster for one in (await scene.placement("alone")).status.clusters] == [first]


async def test_a_member_that_fills_its_registration_until_no_more_is_stored_stops_no_decision() -> None:
    lease = {"metadata": {"name": LEASE, "namespace": "cluster-west"}}
    async with placing_scene() as scene:
        await three_that_see_each_other(scene)
        lost = {**lease["metadata"], "annotations": {ANNOTATION_API_LOST: "2026-01-01T00:00:00Z"}}
        await scene.admin.apply(LEASES, {"metadata": lost}, field_manager="test")
        scene.api.full.add((HUB_USER, "clusterregistrations/west", "status"))
        async with scene.placing(installed_scheduling()):
            await scene.place(clusters={"count": 1, "names": ["east"]})
            await scene.decided(revision=1)
            await until_in(scene, "east")

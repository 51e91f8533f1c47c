"""A cluster leaves its hub: both halves, in good order, by force, and cut off between any two writes."""

from datetime import timedelta

import pytest

from mesh_fakes.cut_off import Cut
from mesh_fakes.leaving_world import LeavingWorld

pytestmark = pytest.mark.asyncio

OURS = "/apis/placement.meshctl.dev/v1alpha1"
TOMBSTONES = "/api/v1/namespaces/kube-public/configmaps/meshctl-tombstones"
THEIRS_ON_THE_HUB = {
    "/apis/placement.meshctl.dev/v1alpha1/clustersets/prod",
    "/apis/multicluster.x-k8s.io/v1alpha1/clusterprofiles/profiles/east",
}


def left_on_the_hub(world: LeavingWorld) -> list[str]:
    """What names west, its namespace or its token, but for tombstones."""
    return [one for one in world.hub.paths() if "west" in one or "bootstrap" in one]


def left_in_the_member(world: LeavingWorld) -> list[str]:
    """What the hub had brought, or had let in."""
    kept = ("namespaces/shop", "configmaps/shop/theirs", "trustbundles/")
    return [one for one in world.member.paths() if not any(name in one for name in kept)]


async def test_a_cluster_leaves_and_nothing_of_it_stays_on_either_side() -> None:
    world = LeavingWorld()
    await world.set_up()
    before = {one for one in world.hub.paths() if "east" in one}
    await world.leave()
    await world.until_over()
    assert left_on_the_hub(world) == []
    assert left_in_the_member(world) == []
    assert {one for one in world.hub.paths() if "east" in one} == before, "nobody else is touched"
    told = world.hub.peek(f"{OURS}/namespaces/cluster-east/clusterlinks/links")
    assert told is not None
    assert [one["cluster"] for one in told["spec"]["leaving"]] == ["west"], "but its peers are told"


async def test_what_the_mesh_leaves_behind_is_said_by_the_agent_and_shown_at_the_end() -> None:
    world = LeavingWorld()
    await world.set_up()
    await world.leave()
    shown = ""
    for _ in range(120):
        if world.registration is None:
            break
        found = {one["type"]: one["message"] for one in world.registration["status"].get("conditions", ())}
        shown = found.get("Leaving", shown)
        await world.turn()
    assert "meshctl uninstall: programs and kinds of the mesh" in shown
    assert "meshctl peer remove west: its MeshPeer is still in east" in shown
    assert world.hub.peek(TOMBSTONES) is None


async def test_no_work_goes_before_the_peers_know_and_no_right_before_the_agent_has_left() -> None:
    world = LeavingWorld(peers_answer=False)
    await world.set_up()
    await world.leave()
    for _ in range(20):
        await world.turn()
    assert world.registration["status"]["stage"] == 2
    deleted = [path for _, method, path in world.hub.requests if method == "DELETE"]
    assert deleted == ["/apis/placement.meshctl.dev/v1alpha1/clusterregistrations/west"]
    world.peers_answer = True
    await world.until_over()
    order = [path for user, method, path in world.hub.requests if (user, method) == ("hub", "DELETE")]
    works = [at for at, path in enumerate(order) if "/works/" in path]
    rights = [at for at, path in enumerate(order) if "role" in path or "serviceaccount" in path]
    assert max(works) < min(rights)


async def test_a_silent_peer_is_not_waited_for_without_end() -> None:
    world = LeavingWorld(peers_answer=False)
    await world.set_up()
    await world.leave()
    await world.until_over()
    assert left_in_the_member(world) == []


async def test_a_finalizer_of_others_is_honoured_while_the_agent_works() -> None:
    world = LeavingWorld()
    await world.set_up()
    registration = "/apis/placement.meshctl.dev/v1alpha1/clusterregistrations/west"
    ours = world.registration["metadata"]["finalizers"]
    held = {"metadata": {"finalizers": [*ours, "example.com/backup"]}}
    await world.hub.client().request("PATCH", registration, body=held)
    await world.leave()
    for _ in range(40):
        await world.turn()
    shown = {one["type"]: one["message"] for one in world.registration["status"]["conditions"]}
    assert "example.com/backup (on the registration)" in shown["Leaving"]
    assert world.is_applying
    assert not world.agent_is_gone
    await world.hub.client().request("PATCH", registration, body={"metadata": {"finalizers": ours}})
    await world.until_over()
    assert left_on_the_hub(world) == []


async def test_what_is_orphaned_stays_in_the_member_and_nothing_else() -> None:
    world = LeavingWorld()
    await world.set_up(leave={"workloads": "Orphan"})
    await world.leave()
    await world.until_over()
    assert left_on_the_hub(world) == []
    assert [one.rpartition("/")[2] for one in left_in_the_member(world)] == ["settings", "cart"]


async def test_forced_without_an_agent_the_hub_is_clean_and_a_tombstone_tells_of_it() -> None:
    world = LeavingWorld(agent_lives=False)
    await world.set_up()
    await world.leave()
    for _ in range(10):
        await world.turn()
    assert world.registration is not None, "a silent member is waited for"
    await world.force()
    await world.until_over()
    assert left_on_the_hub(world) == []
    stone = world.hub.peek(TOMBSTONES)
    assert stone is not None
    assert list(stone["data"]) == [world.uid]
    assert '"Work a"' in stone["data"][world.uid]
    world.agent_lives = True
    await world.until_over()
    assert left_in_the_member(world) == [], "it comes back, is refused, reads why, and cleans up"


async def test_a_silent_member_is_let_go_after_the_time_that_its_registration_says() -> None:
    world = LeavingWorld(agent_lives=False)
    await world.set_up(leave={"forceAfterSeconds": 60})
    await world.leave()
    for _ in range(45):
        await world.turn()
    assert world.registration is not None
    await world.until_over()
    assert world.hub.peek(TOMBSTONES) is not None


async def test_a_hub_that_lost_everything_makes_no_member_delete_anything() -> None:
    world = LeavingWorld()
    await world.set_up()
    before = world.member.paths()
    await world.hub.client().request(
        "PATCH",
        "/apis/placement.meshctl.dev/v1alpha1/clusterregistrations/west",
        body={"metadata": {"finalizers": []}},
    )
    for path in ("clusterregistrations/west", "clusterlinks/links"):
        place = "namespaces/cluster-west/" if "links" in path else ""
        await world.hub.client().request("DELETE", f"/apis/placement.meshctl.dev/v1alpha1/{place}{path}")
    for _ in range(20):
        await world.turn()
    assert not world.is_applying
    assert world.member.paths() == before


@pytest.mark.parametrize("loses_answer", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("how", ["leave", "force", "orphan"])
async def test_a_leaving_goes_on_wherever_it_was_cut_off(how: str, loses_answer: bool) -> None:
    whole = Cut()
    await _left(how, whole)
    assert whole.writes > 20
    for at in range(whole.writes):
        world = await _left(how, Cut(at=at, loses_answer=loses_answer))
        assert world.cut.writes > at
        assert left_on_the_hub(world) == [], at
        kept = ["settings", "cart"] if how == "orphan" else []
        assert [one.rpartition("/")[2] for one in left_in_the_member(world)] == kept, at


async def _left(how: str, cut: Cut) -> LeavingWorld:
    world = LeavingWorld(cut=cut, pace=timedelta(seconds=4))
    await world.set_up(leave={"workloads": "Orphan" if how == "orphan" else "Delete"})
    await world.leave()
    if how == "force":
        await world.force()
    await world.until_over()
    return world

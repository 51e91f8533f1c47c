"""The copy of a hub in its witnesses lacks nothing, however often reading or leading broke off."""

import pytest

from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.floating_scene import SEAL, stores_of
from mesh_placement.hub.floating.copier import Copier
from mesh_placement.hub.floating.newest import newest_copy
from mesh_placement.hub.floating.store import CopyStore
from mesh_placement.resources import CLUSTER_SETS, PLACEMENTS, RESOURCE_INTERPRETERS
from mesh_runtime.kube import KubeClient, Unreachable

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def witnesses() -> dict[str, FakeApiServer]:
    return {name: FakeApiServer() for name in ("w0", "w1", "w2")}


def stores(found: dict[str, FakeApiServer]) -> list[CopyStore]:
    return stores_of({name: one.client() for name, one in found.items()})


async def made_set(kube: KubeClient, name: str) -> None:
    await kube.create(CLUSTER_SETS, {"metadata": {"name": name}, "spec": {}})


async def sets_copied(found: dict[str, FakeApiServer], *, held: list[str]) -> list[str]:
    """What the next leader would make."""
    newest = await newest_copy(stores(found), held=held)
    assert newest is not None
    return [one["metadata"]["name"] for one in newest[1] if one["kind"] == "ClusterSet"]


def breaks_off_at(kube: KubeClient, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading there fails once."""
    asks, left = kube.request, [1]

    async def request(method: str, at: str, **more: object) -> bytes:
        if path in at and left:
            left.pop()
            raise Unreachable(server="hub", why="once")
        return await asks(method, at, **more)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(kube, "request", request)


async def test_a_change_is_copied_though_reading_another_kind_broke_off_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, hub = witnesses(), FakeApiServer().client()
    copier = Copier(hub, stores(found), SEAL, 1)
    await copier.flush()
    await made_set(hub, "prod")
    copier.mark("ClusterSet", "")
    copier.mark("ResourceInterpreter", "")
    breaks_off_at(hub, RESOURCE_INTERPRETERS.plural, monkeypatch)
    with pytest.raises(Unreachable):
        await copier.flush()
    assert await copier.flush() == 3
    assert await sets_copied(found, held=["w0", "w1"]) == ["prod"]


async def test_what_went_between_two_first_readings_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    found, hub = witnesses(), FakeApiServer().client()
    place = {
        "metadata": {"name": "app", "namespace": "shop"},
        "spec": {"clusterSets": ["prod"], "manifests": []},
    }
    await hub.create(PLACEMENTS, place)
    await made_set(hub, "prod")
    copier = Copier(hub, stores(found), SEAL, 1)
    breaks_off_at(hub, CLUSTER_SETS.plural, monkeypatch)
    with pytest.raises(Unreachable):
        await copier.flush()
    await hub.delete(PLACEMENTS, "app", namespace="shop")
    await copier.flush()
    newest = await newest_copy(stores(found), held=["w0"])
    assert newest is not None
    assert [one["kind"] for one in newest[1]] == ["ClusterSet"]


async def test_who_begins_anew_in_its_term_is_newer_than_what_a_witness_kept_that_was_away() -> None:
    found, hub = witnesses(), FakeApiServer().client()
    first = Copier(hub, stores(found), SEAL, 5)
    for name in ("a", "b", "c"):
        await made_set(hub, name)
        first.mark("ClusterSet", "")
        assert await first.flush() == 3
    newest = await newest_copy(stores(found), held=["w0", "w1", "w2"])
    assert newest is not None
    # Leading went wrong and is tried again, in the same term; w2 does not hear of it.
    found["w2"].stop()
    again = Copier(hub, stores(found), SEAL, 5, before=newest[0])
    await made_set(hub, "late")
    assert await again.flush() == 2
    found["w2"].start()
    found["w0"].stop()
    assert await sets_copied(found, held=["w1", "w2"]) == ["a", "b", "c", "late"]

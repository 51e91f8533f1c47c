"""What a member that unexports a Service shows of who has taken it in."""

import pytest

from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.members import Member, new_member
from mesh_fakes.waiting import until
from mesh_runtime.kube import SERVICE_EXPORTS

pytestmark = pytest.mark.asyncio


def trio() -> tuple[Member, Member, Member]:
    clusterset = FakeClusterset()
    west, east, north = (new_member(name, clusterset=clusterset) for name in ("west", "east", "north"))
    for name in ("first", "second"):
        west.service(name)
        west.endpoints("10.1.0.1", name=name)
        west.export(name)
    west.service("headless", clusterIP="None")
    west.endpoints("10.1.0.2", name="headless")
    west.export("headless")
    return west, east, north


def uid(member: Member, name: str) -> str:
    (found,) = [one for one in member.api.all(SERVICE_EXPORTS) if one.metadata.name == name]
    return found.metadata.uid


def applied(member: Member, peer: str) -> tuple[str, ...]:
    """What the member shows that the peer has taken in."""
    found = member.peer(peer)
    return found.status.applied_unexports if found is not None else ()


async def test_each_peer_shows_what_it_has_acknowledged_and_who_is_cut_off_shows_nothing() -> None:
    west, east, north = trio()
    first, second, headless = (uid(west, name) for name in ("first", "second", "headless"))
    async with west.running(), east.running():
        for one, other in ((west, east), (east, west), (west, north)):
            one.knows(other)
        await until(lambda: all(east.imported(name) for name in ("first", "second", "headless")))
        west.unexport("first")
        await until(lambda: applied(west, "east") == (first,))
        west.unexport("headless")
        await until(lambda: east.imported("headless") is None)
        west.unexport("second")
        # Addresses of the headless Service may be in caches of DNS yet.
        await until(lambda: applied(west, "east") == (first, second))
        assert headless not in applied(west, "east")
        assert applied(west, "north") == ()
        async with north.running():
            north.knows(west)
            await until(lambda: applied(west, "north") == (first, second))


async def test_an_export_that_comes_again_by_its_name_is_another_one() -> None:
    west, east, _north = trio()
    before = uid(west, "first")
    async with west.running(), east.running():
        west.knows(east)
        east.knows(west)
        await until(lambda: east.imported("first") is not None)
        west.unexport("first")
        west.export("first")
        await until(lambda: applied(west, "east") == (before,))
        assert uid(west, "first") != before
        await until(lambda: east.imported("first") is not None)

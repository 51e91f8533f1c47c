"""Controllers of two members, their API servers in memory, the stream between them real."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from mesh_controller.controller import Controller
from mesh_core.names import LABEL_MANAGED_BY, SYSTEM_NAMESPACE, shadow_service_name
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.members import Member, new_member
from mesh_fakes.waiting import until
from mesh_runtime.kube import (
    IMPORTED_RECORDS,
    LEASES,
    MESH_PEERS,
    SERVICE_IMPORTS,
    SERVICES,
    ApiError,
)

pytestmark = pytest.mark.asyncio

SHADOW = shadow_service_name(namespace="demo", name="hello")


def two_members() -> tuple[Member, Member]:
    """east, and west which has a Service."""
    clusterset = FakeClusterset()
    east = new_member("east", clusterset=clusterset)
    west = new_member("west", clusterset=clusterset)
    west.service()
    west.endpoints("10.2.0.1", "10.2.0.2")
    return east, west


def is_connected(member: Member, peer: str) -> bool:
    condition = member.connected(peer)
    return condition is not None and condition.status == "True"


def reason(member: Member, peer: str) -> str:
    condition = member.connected(peer)
    return condition.reason if condition is not None else ""


def is_imported(member: Member, source: str, name: str = "hello") -> bool:
    """Whether the import stands, with slices of `source`."""
    seen = member.imported(name)
    conditions = seen.status.conditions if seen is not None else ()
    return bool(
        seen is not None
        and seen.spec.ips
        and member.slices(source, name=name)
        and conditions
        and conditions[0].status == "True"
        and conditions[0].observed_generation == seen.metadata.generation
    )


def is_ready(controller: Controller) -> bool:
    return controller.is_ready


def annotation(member: Member, source: str) -> str:
    (piece,) = member.slices(source)
    return piece.metadata.annotations["meshctl.dev/ready-endpoints"]


async def still(*members: Member) -> None:
    """Until nobody has written anything for a while."""
    async with asyncio.timeout(90):
        seen = -1
        while seen != (seen := sum(len(member.api.requests) for member in members)):
            for _ in range(15):
                await asyncio.sleep(0.01)


async def test_an_export_appears_in_the_other_cluster_changes_at_once_and_goes_again() -> None:
    east, west = two_members()
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: is_connected(east, "west"))
        west.export()
        await until(lambda: is_imported(east, "west") and is_imported(west, "west"), limit=1)
        west.endpoints("10.2.0.1", "10.2.0.2", "10.2.0.3")
        await until(lambda: annotation(east, "west") == '{"http": 3}', limit=0.5)
        ready = west.export_condition("Ready")
        assert ready is not None
        assert ready.status == "True"
        west.unexport()
        await until(lambda: east.imported() is None and not east.slices("west"), limit=1)
        await until(lambda: west.imported() is None)
        await still(east, west)
        for member in (east, west):
            assert member.api.find(SERVICES, SHADOW, namespace="demo") is None
        assert west.api.find(SERVICES, "hello", namespace="demo") is not None
        assert not east.api.all(IMPORTED_RECORDS)


async def test_a_service_without_ready_endpoints_stays_imported_and_is_not_ready_ruling_8() -> None:
    east, west = two_members()
    west.export()
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: is_imported(east, "west"))
        west.endpoints("10.2.0.1", ready=False)
        await until(lambda: annotation(east, "west") == '{"http": 0}')
        (piece,) = east.slices("west")
        conditions = {endpoint.conditions for endpoint in piece.endpoints or ()}
        assert [(c.ready, c.serving) for c in conditions] == [(False, False)]
        assert is_imported(east, "west")


async def test_a_conflict_is_shown_on_both_exports_and_the_older_one_wins() -> None:
    east, west = two_members()
    async with east.running(), west.running():
        east.knows(west)
        west.knows(east)
        west.export()
        await until(lambda: is_imported(east, "west"))
        # Creation times have whole seconds; a tie would go to east, by name.
        await asyncio.sleep(1.1)
        east.service(port=81)
        east.endpoints("10.1.0.1")
        east.export()

        def conflict(member: Member) -> str:
            condition = member.export_condition("Conflict")
            return condition.reason if condition is not None else ""

        await until(lambda: conflict(east) == conflict(west) == "PortConflict")
        for member in (east, west):
            seen = member.imported()
            assert seen is not None
            assert [port.port for port in seen.spec.ports] == [80]
        assert not east.slices("east"), "a port that lost draws no traffic for the winner"


async def test_a_lost_stream_takes_nothing_back_and_is_taken_up_again() -> None:
    east, west = two_members()
    west.export()
    async with east.running():
        async with west.running():
            east.knows(west)
            await until(lambda: is_imported(east, "west"))
            await still(east)
            before = east.api.versions(without=("leases", "meshpeers"))
        await until(lambda: reason(east, "west") == "Unreachable")
        await still(east)
        assert east.api.versions(without=("leases", "meshpeers")) == before
        condition = east.connected("west")
        assert condition is not None
        assert "127.0.0.1" in condition.message
        west.endpoints("10.2.0.1")
        async with west.running():
            east.knows(west)
            await until(lambda: annotation(east, "west") == '{"http": 1}')
            await until(lambda: is_connected(east, "west"))


async def test_a_controller_that_starts_while_a_peer_is_away_computes_the_same_ruling_12() -> None:
    east, west = two_members()
    west.export()
    async with east.running():
        async with west.running():
            east.knows(west)
            await until(lambda: is_imported(east, "west"))
            await still(east)
    before = east.api.versions(without=("leases", "meshpeers", "secrets"))
    async with east.running() as controller:
        await until(lambda: controller.is_ready)
        await until(lambda: reason(east, "west") == "Unreachable")
        await still(east)
        assert east.api.versions(without=("leases", "meshpeers", "secrets")) == before


HISTORY: list[Callable[[Member], None]] = [
    lambda west: west.export(),
    lambda west: west.endpoints("10.2.0.1", "10.2.0.2", "10.2.0.3"),
    lambda west: west.service(port=81),
    lambda west: west.endpoints(),
    lambda west: west.endpoints("10.2.0.9"),
    lambda west: west.unexport(),
    lambda west: west.export(),
]


async def test_a_restart_at_any_point_of_a_history_changes_no_object() -> None:
    east, west = two_members()
    async with west.running():
        east.knows(west)
        for deed in HISTORY:
            deed(west)
            async with east.running() as controller:
                await until(lambda: controller.is_ready and is_connected(east, "west"))  # awaited here
                await still(east, west)
            before = east.api.versions(without=("leases", "meshpeers"))
            async with east.running() as controller:
                await until(lambda: controller.is_ready)  # awaited here
                await still(east, west)
                await until(lambda: is_connected(east, "west"))
                assert east.api.versions(without=("leases", "meshpeers")) == before


async def test_stop_is_not_remove_and_the_sibling_goes_on() -> None:
    east, west = two_members()
    west.export()
    async with west.running(), AsyncExitStack() as stack:
        first = await stack.enter_async_context(east.running(replica="-a"))
        east.knows(west)
        await until(lambda: is_imported(east, "west"))
        async with east.running(replica="-b") as second:
            await until(lambda: first.is_ready and second.is_ready)
            await still(east, west)
            before = east.api.versions(without=("leases", "meshpeers"))
            await stack.aclose()
            assert east.api.versions(without=("leases", "meshpeers")) == before
            west.endpoints("10.2.0.7")
            await until(lambda: annotation(east, "west") == '{"http": 1}')
            lease = east.api.find(LEASES, "meshctl-controller", namespace=SYSTEM_NAMESPACE)
            assert lease is not None
            assert lease.spec.holder_identity == "east-b"


async def test_a_peer_that_is_taken_out_takes_its_records_with_it() -> None:
    east, west = two_members()
    west.export()
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: is_imported(east, "west"))
        await until(lambda: east.api.find(LEASES, "peer-west", namespace=SYSTEM_NAMESPACE) is not None)
        east.api.remove(MESH_PEERS, "west")
        await until(lambda: east.imported() is None and not east.api.all(IMPORTED_RECORDS))
        await until(lambda: east.api.find(LEASES, "peer-west", namespace=SYSTEM_NAMESPACE) is None)


async def test_who_is_not_the_peer_that_was_named_is_refused() -> None:
    east, west = two_members()
    north = new_member("north", clusterset=west.clusterset)
    north.service()
    north.export()
    async with east.running(), north.running():
        west.port = north.port
        east.knows(west)
        await until(lambda: reason(east, "west") == "Refused")
        await still(east)
        assert not east.api.all(IMPORTED_RECORDS)


async def test_a_controller_of_another_root_is_refused() -> None:
    east, _ = two_members()
    stranger = new_member("west", clusterset=FakeClusterset())
    async with east.running(), stranger.running():
        east.knows(stranger)
        await until(lambda: reason(east, "west") == "Refused")
        condition = east.connected("west")
        assert condition is not None
        assert "roots" in condition.message


async def test_a_peer_that_does_not_know_us_or_knows_others_is_a_partial_mesh_ruling_13() -> None:
    east, west = two_members()
    north = new_member("north", clusterset=west.clusterset)

    def partial(member: Member) -> tuple[str, str]:
        condition = member.peer_condition("west" if member is east else "east", "PartialMesh")
        return (condition.status, condition.message) if condition is not None else ("", "")

    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: "west has no MeshPeer east" in partial(east)[1])
        west.knows(east)
        await until(lambda: partial(east)[0] == partial(west)[0] == "False")
        west.knows(north, port=1)
        await until(lambda: "west is linked with north, this cluster is not" in partial(east)[1])
        await until(lambda: "this cluster is linked with north, east is not" in partial(west)[1])
        assert "meshctl link" in partial(east)[1]
        east.knows(north, port=1)
        await until(lambda: partial(east)[0] == partial(west)[0] == "False")


async def test_a_network_of_which_both_sides_say_something_else_is_told() -> None:
    east, west = two_members()
    west.network("blue")

    def agreed() -> tuple[str, str]:
        condition = east.peer_condition("west", "NetworkAgreed")
        return (condition.status, condition.message) if condition is not None else ("", "")

    async with east.running(), west.running():
        east.knows(west, spec={"network": "green"})
        await until(lambda: agreed()[0] == "False")
        assert "network blue" in agreed()[1]
        assert "network green" in agreed()[1]
        east.knows(west, spec={"network": "blue"})
        await until(lambda: agreed()[0] == "True")
        west.network("red")
        await until(lambda: agreed()[0] == "False", limit=90)


def clash(member: Member, peer: str) -> str:
    """The message of IdentityUsedTwice while it is True."""
    condition = member.peer_condition(peer, "IdentityUsedTwice")
    return condition.message if condition is not None and condition.status == "True" else ""


async def test_a_copy_of_a_peer_that_answers_in_its_place_is_refused_ruling_29() -> None:
    east, west = two_members()
    west.export()
    copy = new_member("west", clusterset=west.clusterset, uid="copy")
    async with east.running(), copy.running():
        async with west.running():
            east.knows(west)
            await until(lambda: is_imported(east, "west"))
            peer = east.peer("west")
            assert peer is not None
            assert peer.status.kube_system_uid == "west-kube-system"
        east.knows(copy)
        await until(lambda: "copy-kube-system" in clash(east, "west"))
        await until(lambda: reason(east, "west") == "Refused")
        assert is_imported(east, "west"), "the first one's exports stay"
        # Whoever knows which of the two it shall be deletes the MeshPeer: that releases the pin.
        east.api.remove(MESH_PEERS, "west")
        await until(lambda: east.imported() is None)
        east.knows(copy)
        await until(lambda: is_connected(east, "west"))
        assert not clash(east, "west")


@pytest.mark.parametrize("leads", [True, False], ids=["the leader", "another replica"])
async def test_a_copy_of_a_peer_that_dials_us_is_refused_and_told_why(leads: bool) -> None:
    east, west = two_members()
    copy = new_member("west", clusterset=west.clusterset, uid="copy")
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(east.running(replica="-a"))
        async with west.running():
            east.knows(west)
            await until(lambda: is_connected(east, "west"))
        if not leads:
            await until(lambda: first.is_ready)
            await stack.enter_async_context(east.running(replica="-b"))
        await stack.enter_async_context(copy.running())
        copy.knows(east)
        await until(lambda: reason(copy, "east") == "Refused")
        told = copy.connected("east")
        assert told is not None
        assert "two clusters use the id west" in told.message
        await until(lambda: "copy-kube-system" in clash(east, "west"))
        peer = east.peer("west")
        assert peer is not None
        assert peer.status.kube_system_uid == "west-kube-system"


async def test_a_mesh_peer_that_names_ourselves_says_so() -> None:
    east, _ = two_members()
    async with east.running():
        east.knows(east)
        await until(lambda: reason(east, "east") == "Refused")


@pytest.mark.parametrize("host", ["a" * 64, "nowhere.invalid", "127.0.0.1"])
async def test_a_gateway_that_cannot_be_dialled_is_told_and_stops_nothing(host: str) -> None:
    east, west = two_members()
    east.knows(west, port=1)
    gateways = [{"host": host, "port": 1}]
    east.api.put(MESH_PEERS, {"metadata": {"name": "west"}, "spec": {"gateways": gateways}})
    async with east.running() as controller:
        await until(lambda: reason(east, "west") == "Unreachable")
        assert controller.is_ready


async def test_a_peer_whose_gateways_change_is_dialled_at_the_new_ones() -> None:
    east, west = two_members()
    west.export()
    async with east.running(), west.running():
        east.knows(west, port=1)
        await until(lambda: reason(east, "west") == "Unreachable")
        east.knows(west)
        await until(lambda: is_imported(east, "west"))


async def test_peers_never_gate_readiness() -> None:
    east, west = two_members()
    east.knows(west, port=1)
    east.service()
    east.endpoints("10.1.0.1")
    east.export()
    async with east.running() as controller:
        await until(lambda: controller.is_ready)
        await until(lambda: is_imported(east, "east"))


async def test_a_namespace_that_is_made_later_gets_its_imports_then() -> None:
    east, west = two_members()
    west.api.namespace("late")
    west.service(namespace="late")
    west.export(namespace="late")
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: len(east.api.all(IMPORTED_RECORDS)) == 1)
        await still(east)
        assert not east.api.all(SERVICE_IMPORTS)
        east.api.namespace("late")
        await until(lambda: east.imported(namespace="late") is not None)


async def test_what_peers_would_refuse_is_withheld_and_not_called_exported() -> None:
    east, west = two_members()
    west.service(namespace="kube-system")
    west.export(namespace="kube-system")
    west.export()
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: is_imported(east, "west"))

        def message() -> str:
            condition = west.export_condition("Ready", namespace="kube-system")
            return condition.message if condition is not None and condition.status == "False" else ""

        await until(lambda: "peers may not export into this namespace" in message())
        assert is_connected(east, "west")
        assert east.imported(namespace="kube-system") is None


async def test_an_import_whose_place_is_taken_is_told_on_the_export_and_nothing_is_touched() -> None:
    _, west = two_members()
    theirs = {"metadata": {"namespace": "demo", "name": "hello"}, "spec": {"ports": [], "type": "Headless"}}
    foreign = west.api.put(SERVICE_IMPORTS, theirs)
    west.export()
    async with west.running():

        def message() -> str:
            condition = west.export_condition("Ready")
            return condition.message if condition is not None else ""

        await until(lambda: "stands in the way" in message())
        await still(west)
        assert west.imported() == foreign


async def test_gateways_that_come_and_go_are_listed_in_every_import() -> None:
    east, west = two_members()
    west.export()
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: is_imported(east, "west"))
        east.gateways(("10.1.0.77",))

        def listed() -> list[str]:
            (piece,) = east.slices("west")
            return [endpoint.addresses[0] for endpoint in piece.endpoints or ()]

        await until(lambda: listed() == ["10.1.0.77"])


async def test_a_shadow_ip_that_was_lost_to_somebody_else_is_replaced() -> None:
    east, west = two_members()
    west.export()
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: is_imported(east, "west"))
        seen = east.imported()
        assert seen is not None
        (ip,) = seen.spec.ips
        east.api.remove(SERVICES, SHADOW, namespace="demo")
        labels = {LABEL_MANAGED_BY: "somebody"}
        meta = {"namespace": "demo", "name": "thief", "labels": labels}
        east.api.put(SERVICES, {"metadata": meta, "spec": {"clusterIP": ip, "ports": []}})

        def now() -> tuple[str, ...]:
            found = east.imported()
            return found.spec.ips if found is not None else ()

        await until(lambda: bool(now()) and now() != (ip,), limit=90)


async def test_an_api_server_that_is_away_leaves_both_clusters_as_they_are() -> None:
    east, west = two_members()
    west.export()
    async with east.running(), west.running():
        east.knows(west)
        await until(lambda: is_imported(east, "west"))
        await still(east, west)
        before = east.api.versions(without=("leases", "meshpeers"))
        west.api.stop()
        await asyncio.sleep(0.3)
        assert east.api.versions(without=("leases", "meshpeers")) == before
        assert is_connected(east, "west")
        west.api.start()


async def test_a_namespace_in_which_writing_is_forbidden_stops_no_other_import() -> None:
    east, west = two_members()
    for member in (east, west):
        member.api.namespace("other")
    west.service(namespace="other")
    west.export(namespace="other")
    west.export()
    forbidden = ApiError(status=403, reason="Forbidden", message="quota")

    def fault(method: str, path: str) -> ApiError | None:
        return forbidden if method == "POST" and path.endswith("/serviceimports/demo") else None

    east.api.faults.append(fault)
    async with east.running() as controller, west.running():
        east.knows(west)
        await until(lambda: east.imported(namespace="other") is not None)
        await until(lambda: controller.is_ready)
        assert east.imported() is None
        east.api.faults.clear()
        await until(lambda: is_imported(east, "west"))

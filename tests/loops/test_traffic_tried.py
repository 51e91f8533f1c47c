"""A member's agent tries what placed workloads call: on real sockets, and as its loop tells the hub."""

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from mesh_core.names import SYSTEM_NAMESPACE, imported_record_name
from mesh_fakes.agent_session import agent_session
from mesh_fakes.member_api import MemberApi
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until_found
from mesh_placement.agent.calling import WATCHED, Denied, Found, PodNetwork, Silent
from mesh_placement.agent.traffic_part import TrafficPart
from mesh_placement.names import WORK_MANAGER
from mesh_placement.objects import Assignment
from mesh_placement.resources import ASSIGNMENTS
from mesh_runtime.kube import CRDS, IMPORTED_RECORDS, SERVICE_IMPORTS

pytestmark = pytest.mark.asyncio

PAY, PLACE, NAME = "shop/payments", "cluster-east", "shop.app"
PAY_NAME, NAME_SERVER = "payments.shop.svc.clusterset.local", "ns.dns.clusterset.local"


@dataclass
class FakeNetwork:
    """DNS as `names` says it, and calls that end as `wrong` says, each after `takes` seconds."""

    names: dict[str, Sequence[str] | Exception] = field(default_factory=dict)
    wrong: str = ""
    called: list[tuple[str, int]] = field(default_factory=list)
    takes: float = 0.0
    calling: int = 0

    async def resolve(self, name: str) -> Sequence[str]:
        found = self.names.get(name, Denied())
        if isinstance(found, Exception):
            raise found
        return found

    async def call(self, address: str, port: int) -> str:
        self.called.append((address, port))
        self.calling += 1
        await asyncio.sleep(self.takes)
        self.calling -= 1
        return self.wrong


@dataclass
class Scene:
    """A hub with one Assignment, and a member."""

    hub: MemberApi = field(default_factory=MemberApi)
    member: MemberApi = field(default_factory=MemberApi)
    network: FakeNetwork = field(default_factory=FakeNetwork)

    async def kind(self, resource_name: str) -> None:
        status = {"conditions": [{"type": "Established", "status": "True", "reason": "x"}]}
        await self.member.client().create(CRDS, {"metadata": {"name": resource_name}, "status": status})

    async def imports(self, *, protocol: str = "TCP") -> None:
        meta = {"name": "payments", "namespace": "shop"}
        spec = {"type": "ClusterSetIP", "ports": [{"port": 9, "protocol": "UDP"}]}
        spec["ports"] = [{"port": 9, "protocol": "UDP"}, {"port": 8080, "protocol": protocol}]
        status = {"clusters": [{"cluster": "west"}]}
        await self.member.client().create(SERVICE_IMPORTS, {"metadata": meta, "spec": spec, "status": status})

    async def record(self, *allow: str) -> None:
        meta = {
            "name": imported_record_name(cluster="west", namespace="shop", service="payments"),
            "namespace": SYSTEM_NAMESPACE,
        }
        spec = {"cluster": "west", "namespace": "shop", "name": "payments", "allow": list(allow)}
        spec["created"] = "2026-01-01T00:00:00Z"
        await self.member.client().create(IMPORTED_RECORDS, {"metadata": meta, "spec": spec})

    async def given(self, name: str = NAME) -> Assignment:
        return await self.hub.client().get(ASSIGNMENTS, name, namespace=PLACE)

    async def another(self, name: str, *, tenant: str) -> None:
        """One more Assignment, of a Placement in the namespace `tenant`, that calls and is ready."""
        meta = {"name": name, "namespace": PLACE, "generation": 1}
        spec = {"revision": 1, "calls": [PAY], "placementRef": {"name": "app", "namespace": tenant}}
        await self.hub.client().create(ASSIGNMENTS, {"metadata": meta, "spec": spec})
        await self.is_ready(name=name)

    async def is_ready(self, *, revision: int = 1, health: str = "Healthy", name: str = NAME) -> None:
        condition = {
            "type": "Applied",
            "status": "True",
            "reason": "Applied",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": (await self.given(name)).metadata.generation,
        }
        body = {
            "metadata": {"name": name, "namespace": PLACE},
            "status": {"applied": revision, "health": health, "conditions": [condition]},
        }
        await self.hub.client().apply(ASSIGNMENTS, body, field_manager=WORK_MANAGER, subresource="status")

    async def says(self, verdict: str) -> str:
        """Wait until the hub is told that; with what words."""

        async def is_told() -> bool:
            return (await self.given()).status.traffic_verified == verdict

        await until_found(is_told, limit=600.0)
        conditions = (await self.given()).status.conditions
        assert {one.type for one in conditions} == {"Applied", "TrafficVerified"}
        return next(one.message for one in conditions if one.type == "TrafficVerified")


@asynccontextmanager
async def scene(*, calls: Sequence[str] = (PAY,), kinds: bool = True) -> AsyncIterator[Scene]:
    found = Scene()
    if kinds:
        await found.kind("serviceimports.multicluster.x-k8s.io")
        await found.kind("importedrecords.meshctl.dev")
    hub, member = found.hub.client(), found.member.client()
    for api, spaces in ((found.hub, (PLACE,)), (found.member, ("shop", SYSTEM_NAMESPACE))):
        for space in spaces:
            api.namespace(space)
    meta = {"name": NAME, "namespace": PLACE, "generation": 1}
    await hub.create(ASSIGNMENTS, {"metadata": meta, "spec": {"revision": 1, "calls": list(calls)}})
    session = agent_session(hub, member, namespace=PLACE, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    async with under_way(session.kinds.run(), TrafficPart(session, network=found.network).run()):
        yield found


@pytest.mark.looptime
async def test_nothing_is_tried_before_it_is_ready_and_then_the_hub_is_told_once() -> None:
    async with scene() as there:
        there.network.names = {PAY_NAME: ["10.0.0.7"]}
        await there.imports()
        await asyncio.sleep(60)
        assert there.network.called == []
        await there.is_ready()
        assert "was reached" in await there.says("True")
        assert there.network.called == [("10.0.0.7", 8080)]
        await asyncio.sleep(290)
        assert len(there.network.called) == 1
        await asyncio.sleep(20)
        assert len(there.network.called) == 2
        writes = [one for one in there.hub.requests if one[1] == "PATCH"]
        assert len(writes) == 2, "one of this test, and one of the agent"


@pytest.mark.looptime
async def test_two_failures_in_a_row_are_told_and_one_is_not() -> None:
    async with scene() as there:
        there.network.names = {PAY_NAME: ["10.0.0.7"]}
        there.network.wrong = "the connection was taken and then lost: reset"
        await there.imports()
        await there.is_ready()
        await asyncio.sleep(5)
        assert (await there.given()).status.traffic_verified == ""
        assert await there.says("False") == f"{PAY}: the connection was taken and then lost: reset"
        assert len(there.network.called) == 2
        there.network.wrong = ""
        await there.says("True")


@pytest.mark.looptime
async def test_a_new_revision_is_tried_at_once_and_what_calls_nothing_any_more_says_nothing() -> None:
    async with scene() as there:
        there.network.names = {PAY_NAME: ["10.0.0.7"]}
        await there.imports()
        await there.is_ready()
        await there.says("True")
        newer = {"metadata": {"generation": 2}, "spec": {"revision": 2}}
        await there.hub.client().merge_patch(ASSIGNMENTS, NAME, newer, namespace=PLACE)
        await there.is_ready(revision=2)
        await asyncio.sleep(3)
        assert len(there.network.called) == 2
        none = {"metadata": {"generation": 3}, "spec": {"calls": []}}
        await there.hub.client().merge_patch(ASSIGNMENTS, NAME, none, namespace=PLACE)
        await asyncio.sleep(3)
        status = (await there.given()).status
        assert (status.traffic_verified, [one.type for one in status.conditions]) == ("", ["Applied"])


Prepare = Callable[[Scene], Awaitable[None]]


async def nothing(there: Scene) -> None:
    """The member has no import."""


async def denied(there: Scene) -> None:
    await there.imports()
    there.network.names = {NAME_SERVER: ["10.0.0.2"]}


async def no_zone(there: Scene) -> None:
    await there.imports()


async def no_dns(there: Scene) -> None:
    await there.imports()
    there.network.names = {PAY_NAME: Silent()}


async def only_udp(there: Scene) -> None:
    await there.imports(protocol="UDP")


async def for_some(there: Scene) -> None:
    await there.imports()
    await there.record("east/shop")
    there.network.names, there.network.wrong = {PAY_NAME: ["10.0.0.7"]}, "reset"


async def for_east(there: Scene) -> None:
    await there.imports()
    await there.record("east", "north/shop")
    there.network.names, there.network.wrong = {PAY_NAME: ["10.0.0.7"]}, "reset"


WORDS: list[tuple[Prepare, str, str]] = [
    (nothing, "False", "there is no ServiceImport of it here"),
    (denied, "False", "denies its name"),
    (no_zone, "Unknown", "does not serve clusterset.local"),
    (no_dns, "Unknown", "does not answer"),
    (only_udp, "Unknown", "no TCP port"),
    (for_some, "Unknown", "certain callers alone"),
    (for_east, "False", "reset"),
]


@pytest.mark.looptime
@pytest.mark.parametrize(("prepare", "verdict", "words"), WORDS, ids=[one[0].__name__ for one in WORDS])
async def test_what_cannot_be_tried_is_unknown_and_what_programs_would_not_reach_is_false(
    prepare: Prepare, verdict: str, words: str
) -> None:
    async with scene() as there:
        await prepare(there)
        await there.is_ready()
        assert words in await there.says(verdict)


@pytest.mark.looptime
async def test_a_member_without_the_mesh_can_tell_nothing() -> None:
    async with scene(kinds=False) as there:
        await there.is_ready()
        assert "has no ServiceImports" in await there.says("Unknown")


@pytest.mark.looptime
async def test_no_more_than_64_calls_are_tried() -> None:
    async with scene(calls=[f"shop/s{number}" for number in range(70)]) as there:
        await there.is_ready()
        message = await there.says("False")
        assert message.endswith("and 61 more")


@asynccontextmanager
async def ending(how: str) -> AsyncIterator[int]:
    """A server that takes a connection and then does that; its port."""
    served: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(writer)
        if how == "RST":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        elif how == "FIN":
            writer.close()
        elif how == "banner":
            writer.write(b"220 hello\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
        for writer in served:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


@pytest.mark.parametrize(("how", "wrong"), [("RST", "then lost: reset"), ("FIN", ""), ("banner", "")])
async def test_a_connection_that_is_taken_and_reset_is_a_refusal_and_an_orderly_end_is_none(
    how: str, wrong: str
) -> None:
    async with ending(how) as port:
        found = await PodNetwork().call("127.0.0.1", port)
    assert wrong in found and bool(wrong) == bool(found)


async def test_a_server_that_waits_for_a_request_is_reached() -> None:
    async with ending("wait") as port:
        assert await PodNetwork(watched=0.2).call("127.0.0.1", port) == ""
    assert PodNetwork().watched == WATCHED >= 9, "a gateway dials three endpoints, three seconds each"


async def test_nobody_who_listens_is_a_failure() -> None:
    async with ending("wait") as port:
        pass
    assert await PodNetwork().call("127.0.0.1", port) == "no connection: refused"


@pytest.mark.parametrize(
    ("code", "error"), [(socket.EAI_NONAME, Denied), (socket.EAI_AGAIN, Silent), (socket.EAI_FAIL, Silent)]
)
async def test_a_name_that_is_denied_is_told_from_a_dns_that_is_silent(
    code: int, error: type[Exception]
) -> None:
    def lookup(_name: str) -> Found:
        raise socket.gaierror(code, "said")

    with pytest.raises(error):
        await PodNetwork(lookup=lookup).resolve("payments.shop.invalid")


async def test_no_search_list_is_tried_and_an_address_counts_once() -> None:
    asked = []

    def lookup(name: str) -> Found:
        asked.append(name)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in ("10.0.0.7", "10.0.0.7")]

    assert await PodNetwork(lookup=lookup).resolve("payments.shop.invalid") == ["10.0.0.7"]
    assert asked == ["payments.shop.invalid."]


async def test_a_dns_that_is_silent_keeps_no_other_work_of_the_agent_waiting() -> None:
    answers, begun = threading.Event(), []

    def lookup(name: str) -> Found:
        begun.append(name)
        answers.wait(20)
        return []

    network = PodNetwork(lookup=lookup)
    asked = [asyncio.create_task(network.resolve(f"s{number}.shop.invalid")) for number in range(64)]
    try:
        await until_found(lambda: _true(len(begun) >= 8))
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(lambda: "done") == "done"
        assert len(begun) == 8
    finally:
        answers.set()
    assert await asyncio.gather(*asked) == [[]] * 64


async def _true(what: bool) -> bool:
    return what


@pytest.mark.looptime
async def test_a_tenant_with_very_many_placements_delays_nobody_elses_word() -> None:
    async with scene() as there:
        there.network.names = {PAY_NAME: ["10.0.0.7"]}
        there.network.takes = 10.0
        await there.imports()
        for number in range(200):
            await there.another(f"many.app-{number}", tenant="many")
        await asyncio.sleep(15)
        assert there.network.calling == 8
        began = asyncio.get_running_loop().time()
        await there.is_ready()
        await there.says("True")
        assert asyncio.get_running_loop().time() - began < 12

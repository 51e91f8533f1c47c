"""A gateway knocks at its peers and says in MeshPeers what it finds; and what knocks come to on loopback."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from mesh_core.identity import cluster_id
from mesh_core.names import PROPERTY_NETWORK
from mesh_core.path_report import Finding, Pods, plan_report, plan_silence
from mesh_core.slices import mcs_labels
from mesh_fakes.backends import backend
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import HELLO, LOOPBACK, free_port, ingress, on_both_loops
from mesh_fakes.jumping_clock import JumpingClock
from mesh_fakes.member_api import MemberApi
from mesh_fakes.membership import FakeMembership
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_gateway.errors import ClusterSilent, StreamRefused
from mesh_gateway.measured import Measured
from mesh_gateway.opener import Target
from mesh_gateway.probe_knock import LIMIT, Answer, knock
from mesh_gateway.probe_report import Reporter
from mesh_gateway.prober import Prober, WitnessingOpener
from mesh_gateway.probing import probe
from mesh_gateway.route import Address
from mesh_gateway.stream import Stream
from mesh_gateway.watch import Watches
from mesh_runtime.kube import CLUSTER_PROPERTIES, ENDPOINT_SLICES, MESH_PEERS, ApiError

OWN = "10.1.0.8"
EAST = Address("192.0.2.1", 15443)
OTHER = Address("192.0.2.2", 15443)
POD = Address("10.9.0.1", 8080)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass(slots=True)
class Scene:
    """The gateway at `OWN` in west, whose one peer is east. `answers` are what knocks come to, else OPEN."""

    api: MemberApi
    answers: dict[Address, Answer] = field(default_factory=dict)
    knocked: list[Address] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    prober: Prober = field(init=False)
    reporter: Reporter = field(init=False)

    async def knock(self, address: Address) -> Answer:
        self.knocked.append(address)
        answer = self.answers.get(address, Answer.OPEN)
        await asyncio.sleep(LIMIT if answer is Answer.SILENT else 0.01)
        return answer

    async def greet(self, address: Address, *, cluster: str) -> Answer:
        assert cluster == "east"
        return await self.knock(address)

    def knows(self, *gateways: Address, network: str = "", dial: str = "both") -> None:
        ways = [{"host": way.host, "port": way.port} for way in gateways]
        spec = {"gateways": ways, "dial": dial, **({"network": network} if network else {})}
        self.api.put(MESH_PEERS, {"metadata": {"name": "east"}, "spec": spec})

    def is_on(self, network: str) -> None:
        body = {"metadata": {"name": PROPERTY_NETWORK}, "spec": {"value": network}}
        self.api.put(CLUSTER_PROPERTIES, body)

    def lists(self, *pods: Address, ready: bool = True) -> None:
        labels = mcs_labels(service="hello", cluster="east")
        body = {
            "metadata": {"namespace": "demo", "name": "hello.east.a", "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [pod.host], "conditions": {"ready": ready}} for pod in pods],
        }
        self.api.put(ENDPOINT_SLICES, body)

    def says(self, address: str, finding: Finding) -> None:
        """Another gateway has written its entry."""
        peer = self.api.find(MESH_PEERS, "east")
        assert peer is not None
        self.api.write(plan_report(peer, address=address, finding=finding, now=NOW))

    @property
    def addresses(self) -> set[str]:
        """Who says something."""
        peer = self.api.find(MESH_PEERS, "east")
        return {one.address for one in peer.status.gateways} if peer is not None else set()

    @property
    def entry(self) -> tuple[bool, str] | None:
        """What our entry says."""
        peer = self.api.find(MESH_PEERS, "east")
        found = [one for one in peer.status.gateways if one.address == OWN] if peer is not None else []
        return (found[0].reachable, found[0].pods) if found else None

    @property
    def said(self) -> tuple[bool, str, str] | None:
        """What our entry says of gateways and tunnels."""
        peer = self.api.find(MESH_PEERS, "east")
        found = [one for one in peer.status.gateways if one.address == OWN] if peer is not None else []
        return (found[0].reachable, found[0].tunnel, found[0].problem) if found else None

    @property
    def rtt(self) -> int | None:
        """What our entry says of the round trip, in microseconds."""
        peer = self.api.find(MESH_PEERS, "east")
        found = [one for one in peer.status.gateways if one.address == OWN] if peer is not None else []
        return found[0].rtt_microseconds if found else None

    @property
    def figures(self) -> tuple[int | None, str] | None:
        """What our entry says of headroom, and of the end of the peer's certificate."""
        peer = self.api.find(MESH_PEERS, "east")
        found = [one for one in peer.status.gateways if one.address == OWN] if peer is not None else []
        return (found[0].headroom_percent, found[0].cert_not_after) if found else None

    @property
    def writes(self) -> int:
        return sum("meshpeers" in path and method == "PATCH" for _user, method, path in self.api.requests)


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def scene(
    *, network: str = "", pods: Iterable[Address] = (), dial: str = "both"
) -> AsyncIterator[Scene]:
    """The scene while the gateway's prober runs; with a network east is a neighbour that has these pods."""
    clock = JumpingClock(ago=timedelta(0))
    found = Scene(MemberApi(clock=clock))
    found.api.namespace("demo")
    found.knows(EAST, OTHER, network=network, dial=dial)
    if network:
        found.is_on(network)
        found.lists(*pods)
    kube = found.api.client("gateway")
    watches = Watches(kube, membership=FakeMembership(FakeClusterset().membership("west")))
    reporter = Reporter(kube, address=OWN, peers=watches.peers, clock=clock)
    prober = Prober(OWN, surroundings=watches, greet=found.greet, knock=found.knock, found=reporter.found)
    found.prober, found.reporter = prober, reporter
    async with under_way(
        watches.run(changed=prober.changed), probe(prober, reporter=reporter, stop=found.stop)
    ):
        yield found


@dataclass(slots=True)
class StandingTunnel:
    """`is_silent`: nothing is heard in it."""

    is_silent: bool = False


@asynccontextmanager
async def tunnel_to(west: Scene) -> AsyncIterator[StandingTunnel]:
    """A tunnel to east stands while the block runs; the prober is told of it as `TunnelPool` does."""
    found = StandingTunnel()

    async def telling() -> None:
        heard = west.prober.ran
        while True:
            heard = heard if found.is_silent else west.prober.ran
            # By a clock of its own, which is a little late and catches up.
            late = random.uniform(0.0, 0.05)
            west.prober.last_heard("east", at=heard + 7, now=west.prober.ran + 7 - late, rtt=0.001)
            await asyncio.sleep(0.25)

    west.prober.tunnel("east", up=True)
    async with under_way(telling()):
        yield found
    west.prober.tunnel("east", up=False)


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_what_is_found_first_is_said_and_after_that_only_changes_are() -> None:
    async with scene() as west:
        await until(lambda: west.entry == (True, "Unknown"))
        assert now() < 3
        await asyncio.sleep(600)
        assert west.writes == 1
        assert len(west.knocked) > 400, "and knocks went on"
        assert set(west.knocked[2:]) <= {west.knocked[-1]}, "at the one address that answers"


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_a_peer_that_falls_silent_is_down_soon_and_up_with_its_first_answer() -> None:
    async with scene() as west:
        await until(lambda: west.entry == (True, "Unknown"))
        cut = now()
        west.answers = {EAST: Answer.SILENT, OTHER: Answer.SILENT}
        await until(lambda: west.entry == (False, "Unknown"), limit=10)
        assert 1.6 <= now() - cut <= 2.6
        mended = now()
        west.answers = {EAST: Answer.SILENT}
        await until(lambda: west.entry == (True, "Unknown"), limit=10)
        assert now() - mended < 3
        assert west.writes == 3


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_the_round_trip_is_said_when_it_moved_much_and_not_more_often_than_every_30_seconds() -> None:
    async with scene() as west:
        west.reporter.measured("east", Measured(0.010))
        await until(lambda: west.rtt == 10_000)
        for milliseconds in (11, 9, 12, 10) * 100:
            west.reporter.measured("east", Measured(milliseconds / 1000))
            await asyncio.sleep(1)
        assert (west.rtt, west.writes) == (10_000, 1)
        began = now()
        for milliseconds in (40, 20) * 75:
            west.reporter.measured("east", Measured(milliseconds / 1000))
            await asyncio.sleep(1)
        assert west.rtt in (20_000, 40_000)
        assert 1 < west.writes <= 2 + (now() - began) / 30
        west.answers = {EAST: Answer.SILENT, OTHER: Answer.SILENT}
        await until(lambda: west.entry == (False, "Unknown"), limit=10)
        assert west.rtt in (20_000, 40_000), "what was measured stays"


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_headroom_and_the_end_of_the_peers_certificate_are_said_when_they_change_and_seldom() -> None:
    async with scene() as west:
        west.reporter.measured("east", Measured(0.010, 0.995, NOW.timestamp()))
        await until(lambda: west.figures == (99, "2026-11-21T12:00:00Z"))
        assert west.writes == 1, "along with what else is said first"
        for hundredths in (95, 91, 99) * 30:
            west.reporter.measured("east", Measured(0.010, hundredths / 100, NOW.timestamp()))
            await asyncio.sleep(1)
        assert west.writes == 1
        west.reporter.measured("east", Measured(0.010, 0.2, NOW.timestamp()))
        await until(lambda: west.figures == (20, "2026-11-21T12:00:00Z"))
        renewed = NOW + timedelta(days=1)
        west.reporter.measured("east", Measured(0.010, 0.2, renewed.timestamp()))
        before = now()
        await until(lambda: west.figures == (20, "2026-11-22T12:00:00Z"), limit=40)
        assert now() - before > 25


@pytest.mark.asyncio
@pytest.mark.looptime
@pytest.mark.parametrize("answer", [Answer.REFUSED, Answer.NO_WAY, Answer.SHUT])
async def test_a_gateway_that_refuses_or_closes_at_once_is_no_way_in(answer: Answer) -> None:
    async with scene() as west:
        west.answers = {EAST: answer, OTHER: answer}
        await until(lambda: west.entry == (False, "Unknown"), limit=10)


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_one_of_several_addresses_that_answers_is_enough_for_ever() -> None:
    async with scene() as west:
        west.answers = {EAST: Answer.SILENT}
        await until(lambda: west.entry == (True, "Unknown"))
        await asyncio.sleep(60)
        assert west.writes == 1
        west.answers = {OTHER: Answer.SILENT}
        await asyncio.sleep(60)
        assert west.writes == 1, "the other one was asked in time"


@pytest.mark.asyncio
@pytest.mark.looptime
@pytest.mark.parametrize(
    ("answer", "pods"),
    [(Answer.OPEN, "Reachable"), (Answer.SHUT, "Reachable"), (Answer.REFUSED, "Reachable")],
)
async def test_a_neighbours_pod_that_says_anything_lives(answer: Answer, pods: str) -> None:
    async with scene(network="blue", pods=[POD]) as west:
        west.answers = {POD: answer, EAST: Answer.SILENT, OTHER: Answer.SILENT}
        await until(lambda: west.entry == (False, pods), limit=10)


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_a_neighbours_pods_that_fall_silent_are_unreachable_also_when_they_are_withdrawn() -> None:
    async with scene(network="blue", pods=[POD]) as west:
        await until(lambda: west.entry == (True, "Reachable"), limit=10)
        west.answers = {POD: Answer.SILENT}
        await until(lambda: west.entry == (True, "Unreachable"), limit=10)
        west.lists(POD, ready=False)
        await asyncio.sleep(60)
        assert west.entry == (True, "Unreachable")
        west.answers = {}
        await until(lambda: west.entry == (True, "Reachable"), limit=10)


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_pods_that_never_answered_may_be_shut_by_a_policy_and_are_unknown() -> None:
    async with scene(network="blue", pods=[POD]) as west:
        west.answers = {POD: Answer.SILENT}
        await until(lambda: west.entry is not None, limit=10)
        await asyncio.sleep(60)
        assert west.entry == (True, "Unknown")


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_a_gateway_that_starts_in_the_middle_of_an_outage_learns_that_the_pods_used_to_answer() -> None:
    async with scene(network="blue") as west:
        west.answers = {POD: Answer.SILENT}
        west.says("10.1.0.9", Finding(True, Pods.UNREACHABLE))
        await until(lambda: west.entry == (True, "Unknown"), limit=10)
        west.lists(POD)
        await until(lambda: west.entry == (True, "Unreachable"), limit=15)


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_an_entry_that_somebody_took_away_comes_back_and_those_of_others_are_left_alone() -> None:
    async with scene() as west:
        west.says("10.1.0.9", Finding(False))
        await until(lambda: west.entry == (True, "Unknown"))
        peer = west.api.find(MESH_PEERS, "east")
        assert peer is not None
        west.api.write(plan_silence(peer, address=OWN))
        assert west.entry is None
        await until(lambda: west.entry == (True, "Unknown"))
        assert west.addresses == {OWN, "10.1.0.9"}


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_what_could_not_be_written_is_written_when_the_api_server_answers_again() -> None:
    async with scene() as west:

        def away(method: str, path: str) -> ApiError | None:
            if method != "PATCH":
                return None
            return ApiError(status=503, reason="ServiceUnavailable", message=f"away: {path}")

        west.api.faults.append(away)
        await asyncio.sleep(60)
        assert west.entry is None
        west.answers = {EAST: Answer.SILENT, OTHER: Answer.SILENT}
        west.api.faults.clear()
        await until(lambda: west.entry == (False, "Unknown"), limit=60)


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_a_gateway_that_stops_takes_back_what_it_said() -> None:
    async with scene() as west:
        west.says("10.1.0.9", Finding(True))
        await until(lambda: west.entry is not None)
        west.stop.set()
        await until(lambda: west.entry is None)
        await asyncio.sleep(60)
        assert west.addresses == {"10.1.0.9"}


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_while_a_tunnel_is_heard_nobody_knocks() -> None:
    async with scene() as west:
        west.answers = {EAST: Answer.SILENT, OTHER: Answer.SILENT}
        await until(lambda: west.entry == (False, "Unknown"), limit=10)
        async with tunnel_to(west) as tunnel:
            await until(lambda: west.said == (True, "Up", ""), limit=1.5)
            await asyncio.sleep(5)
            knocks = len(west.knocked)
            await asyncio.sleep(60)
            assert len(west.knocked) == knocks
            assert not tunnel.is_silent
        assert west.writes == 2


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_a_tunnel_that_falls_silent_is_no_reason_until_knocks_say_the_same_and_then_it_is_soon() -> (
    None
):
    async with scene() as west, tunnel_to(west) as tunnel:
        await until(lambda: west.said == (True, "Up", ""), limit=3)
        cut = now()
        tunnel.is_silent = True
        await asyncio.sleep(60)
        assert west.said == (True, "Up", ""), "a gateway answers, whatever has become of the tunnel"
        assert len(west.knocked) <= 3 + 60 / 0.8, "one a second, as with any peer without a tunnel"
        tunnel.is_silent = False
        await asyncio.sleep(2)
        west.answers = {EAST: Answer.SILENT, OTHER: Answer.SILENT}
        await asyncio.sleep(60)
        assert west.said == (True, "Up", "")
        cut = now()
        tunnel.is_silent = True
        await until(lambda: west.said == (False, "Up", ""), limit=5)
        assert 1.7 <= now() - cut <= 2.4, "before the tunnel is given up"
        west.prober.tunnel("east", up=True)  # one of several is given up, which is no sign of life
        await asyncio.sleep(5)
        assert west.said == (False, "Up", "")
        tunnel.is_silent = False
        await until(lambda: west.said == (True, "Up", ""), limit=1)


@pytest.mark.asyncio
@pytest.mark.looptime
@pytest.mark.parametrize("answer", [Answer.REFUSED, Answer.SHUT, Answer.NO_WAY])
async def test_a_tunnel_that_ends_and_a_door_that_refuses_are_a_dead_gateway_just_as_soon(
    answer: Answer,
) -> None:
    async with scene() as west:
        async with tunnel_to(west):
            await until(lambda: west.said == (True, "Up", ""), limit=3)
            await asyncio.sleep(10)
            west.answers = {EAST: answer, OTHER: answer}
            cut = now()
        await until(lambda: west.said == (False, "Down", ""), limit=5)
        assert 1.7 <= now() - cut <= 2.4


@pytest.mark.asyncio
@pytest.mark.looptime
@pytest.mark.parametrize("silence", [0.9, 1.3, 1.6])
async def test_a_silence_that_is_shorter_withdraws_nothing_however_often_it_comes(silence: float) -> None:
    async with scene() as west, tunnel_to(west) as tunnel:
        await until(lambda: west.said == (True, "Up", ""), limit=3)
        west.answers = {EAST: Answer.SILENT, OTHER: Answer.SILENT}
        for _ in range(30):
            tunnel.is_silent = True
            await asyncio.sleep(silence)
            tunnel.is_silent = False
            await asyncio.sleep(0.3)
        assert west.said == (True, "Up", "")
        assert west.writes <= 2


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_who_has_no_certificate_to_show_knows_nothing_of_others() -> None:
    async with scene() as west:
        async with tunnel_to(west):
            await until(lambda: west.said == (True, "Up", ""), limit=3)
            west.answers = {EAST: Answer.NOT_ASKED, OTHER: Answer.NOT_ASKED}
        await asyncio.sleep(60)
        assert west.said == (True, "Down", "")


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_a_peer_that_we_never_dial_is_reached_while_its_tunnel_is_heard_and_not_knocked_at() -> None:
    async with scene(dial="inbound") as west:
        await until(lambda: west.said == (False, "", ""), limit=6)
        async with tunnel_to(west):
            await until(lambda: west.said == (True, "Up", ""), limit=1.5)
        await asyncio.sleep(1.0)
        async with tunnel_to(west) as tunnel:
            await asyncio.sleep(20)
            assert west.said == (True, "Up", ""), "it dialled anew before two seconds had passed"
            cut = now()
            tunnel.is_silent = True
            await until(lambda: west.said == (False, "Up", ""), limit=10)
            assert 1.7 <= now() - cut <= 2.4
            tunnel.is_silent = False
            await until(lambda: west.said == (True, "Up", ""), limit=1)
            cut = now()
        await until(lambda: west.said == (False, "Down", ""), limit=10)
        assert 1.7 <= now() - cut <= 2.4
        assert not west.knocked


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_why_a_tunnel_is_refused_is_told_until_it_is_not() -> None:
    async with scene() as west:
        west.reporter.problem("east", "east speaks version 9, we speak 1")
        await until(lambda: west.said == (True, "", "east speaks version 9, we speak 1"))
        west.reporter.problem("east", "")
        await until(lambda: west.said == (True, "", ""))
        await asyncio.sleep(60)
        assert west.writes == 2


class _Opener:
    """Opens nothing; `error` is why."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def open(self, target: Target) -> Stream:
        await asyncio.sleep(1.8)
        raise self.error


@pytest.mark.asyncio
@pytest.mark.looptime
@pytest.mark.parametrize(
    ("error", "is_reached"),
    [(ClusterSilent(cluster="east", why="test"), False), (StreamRefused(cluster="east", why="test"), True)],
)
async def test_streams_that_found_nobody_count_like_knocks_and_refused_ones_do_not(
    error: Exception, is_reached: bool
) -> None:
    async with scene() as west:
        async with tunnel_to(west):
            await until(lambda: west.said == (True, "Up", ""), limit=3)
            # Knocks come to nothing that counts, so that only streams do.
            west.answers = {EAST: Answer.NOT_ASKED, OTHER: Answer.NOT_ASKED}
        await asyncio.sleep(1.5)
        target = Target(cluster=cluster_id("east"), service=HELLO, gateways=(EAST,))
        opener = WitnessingOpener(_Opener(error), prober=west.prober)
        ends = await asyncio.gather(*(opener.open(target) for _ in range(3)), return_exceptions=True)
        assert [type(end) for end in ends] == [type(error)] * 3
        await asyncio.sleep(2)
        assert west.said == (is_reached, "Down", "")


@on_both_loops
async def test_knocks_tell_an_open_door_from_a_closed_one_and_from_none() -> None:
    async def patient(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def hasty(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async with backend(patient) as there, backend(hasty) as shut:
        assert await knock(there) is Answer.OPEN
        assert await knock(shut) is Answer.SHUT
    assert await knock(Address(LOOPBACK, free_port())) is Answer.REFUSED
    assert await knock(Address("no-such-name.invalid", 80)) is Answer.NO_WAY
    assert await knock(Address(f"{'x' * 70}.invalid", 80)) is Answer.NO_WAY


@on_both_loops
async def test_a_door_that_takes_nobody_in_is_silent() -> None:
    with socket.socket() as full:
        full.bind((LOOPBACK, 0))
        full.listen(0)
        address = Address(LOOPBACK, full.getsockname()[1])
        with socket.create_connection((address.host, address.port)):
            assert await knock(address) is Answer.SILENT


@on_both_loops
async def test_our_own_door_is_open_to_a_knock_and_does_not_call_it_a_refusal() -> None:
    async with ingress(FakeClusterset(), "east") as east:
        assert await knock(east.address) is Answer.OPEN
        await until(lambda: not east.traffic.admitted)

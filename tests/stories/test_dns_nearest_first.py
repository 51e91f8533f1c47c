"""With the order `nearest` our own endpoints come first, then peers by what the gateways measured."""

import asyncio
from datetime import timedelta

import dns.message
import kmock as kmock_library
import pytest

from mesh_core.path_report import Finding, plan_report
from mesh_dns.answer import Transport, respond
from mesh_dns.nearby import Nearby
from mesh_dns.nearness import HOLD
from mesh_dns.table import Table
from mesh_fakes.dns_scene import ZONE, endpoint, imported, peer, piece, said, scene
from mesh_fakes.jumping_clock import JumpingClock
from mesh_fakes.member_api import MemberApi
from mesh_fakes.scripted_api import page, refusal, watch
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.kube import MESH_PEERS

pytestmark = pytest.mark.asyncio

IMPORTS = (page(imported("db", version=2, type_="Headless"), version=5), watch(hold=True))
SLICES = (
    page(
        piece("e", endpoint("10.1.0.1", hostname="e"), endpoint("10.1.0.2"), version=1, cluster="east"),
        piece("n", endpoint("10.2.0.1"), version=2, cluster="north"),
        piece("o", endpoint("10.3.0.1"), endpoint("10.3.0.2"), version=3, cluster="own"),
        piece("u", endpoint("10.4.0.1"), version=4, cluster="unmeasured"),
        version=5,
    ),
    watch(hold=True),
)
PEERS = (peer("east", 30_000, 20_000), peer("north", 40_000), peer("unmeasured"))
OWN, EAST, NORTH, UNMEASURED = "10.3.0.1 10.3.0.2", "10.1.0.1 10.1.0.2", "10.2.0.1", "10.4.0.1"


def every_order(table: Table, *, count: int) -> list[list[str]]:
    """The last number but two and the last one of each address, for ids from 0 on."""
    found = []
    for query_id in range(count):
        packet = dns.message.make_query(f"db.demo.svc.{ZONE}", "A", id=query_id).to_wire()
        reply = respond(packet, table=table, transport=Transport.TCP)
        assert reply is not None
        data = [str(one) for rrset in dns.message.from_wire(reply).answer for one in rrset]
        found.append([address.removeprefix("10.").replace(".0.", "-") for address in data])
    return found


async def test_our_own_come_first_then_peers_by_the_shortest_round_trip_then_those_that_nobody_measured(
    kmock: kmock_library.RawHandler,
) -> None:
    peers = (page(*PEERS, version=5), watch(hold=True))
    async with scene(kmock, imports=IMPORTS, slices=SLICES, peers=peers) as found:
        await until(lambda: said(found.table, "db.demo.svc") == f"{OWN} {EAST} {NORTH} {UNMEASURED}")
        assert every_order(found.table, count=3) == [
            ["3-1", "3-2", "1-1", "1-2", "2-1", "4-1"],
            ["3-2", "3-1", "1-2", "1-1", "2-1", "4-1"],
            ["3-1", "3-2", "1-1", "1-2", "2-1", "4-1"],
        ]
        targets = said(found.table, "_sql._tcp.db.demo.svc", "SRV").split()[3::4]
        clusters = [target.split(".")[1] for target in targets]
        assert clusters == ["own", "own", "east", "east", "north", "unmeasured"]
        assert said(found.table, "db.demo.svc", "SRV").split()[3::4] == targets


async def test_without_leave_to_read_meshpeers_all_are_answered_by_the_order_of_cluster_ids(
    kmock: kmock_library.RawHandler,
) -> None:
    peers = (refusal(403, "Forbidden"),)
    async with scene(kmock, imports=IMPORTS, slices=SLICES, peers=peers) as found:
        await until(lambda: found.table.complete)
        assert said(found.table, "db.demo.svc") == f"{EAST} {NORTH} {OWN} {UNMEASURED}"


@pytest.mark.looptime
async def test_a_peer_that_has_come_nearer_passes_after_a_while_and_what_is_about_the_same_never_does() -> (
    None
):
    clock = JumpingClock(ago=timedelta(0))
    api = MemberApi(clock=clock)

    def measures(name: str, rtt: int) -> None:
        """Our gateway has written that the peer is so far away."""
        seen = api.find(MESH_PEERS, name)
        assert seen is not None
        api.write(plan_report(seen, address="10.9.0.1", finding=Finding(True, rtt=rtt), now=clock()))

    for name, rtt in (("east", 20_000), ("north", 40_000)):
        api.put(MESH_PEERS, {"metadata": {"name": name}, "spec": {}})
        measures(name, rtt)
    told: list[dict[str, int]] = []
    nearby = Nearby(api.client("dns"), changed=lambda: told.append(nearby.places))
    async with under_way(nearby.run()):
        await until(lambda: nearby.places == {"east": 1, "north": 2})
        measures("north", 19_000)
        await asyncio.sleep(10 * HOLD)
        measures("north", 5_000)
        await asyncio.sleep(HOLD - 2)
        assert nearby.places == {"east": 1, "north": 2}
        await until(lambda: nearby.places == {"north": 1, "east": 2})
        assert told[-2:] == [{"east": 1, "north": 2}, {"north": 1, "east": 2}]


async def test_without_the_setting_meshpeers_are_not_read_and_clusters_take_turns(
    kmock: kmock_library.RawHandler,
) -> None:
    async with scene(kmock, imports=IMPORTS, slices=SLICES) as found:
        await until(lambda: found.table.complete)
        assert not found.peers.asked
        assert said(found.table, "db.demo.svc") == "10.1.0.1 10.1.0.2 10.2.0.1 10.3.0.1 10.4.0.1 10.3.0.2"

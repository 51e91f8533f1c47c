"""UDP through real tunnels: a datagram's whole way from one cluster's pod to another's, and back."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import LOOPBACK, PATIENT, Ingress, Outlet, egress, ingress, on_both_loops
from mesh_fakes.udp import UdpProgram, free_udp_port, udp_program
from mesh_fakes.waiting import until
from mesh_gateway.datagrams import LONGEST_DATAGRAM
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.route import Address, ServicePort
from mesh_gateway.route import Ingress as Way
from mesh_gateway.udp_ports import UdpPorts

DNS = ServicePort("demo", "dns", 53, protocol="UDP")


@asynccontextmanager
async def talking(
    *programs: UdpProgram, limits: Limits = PATIENT
) -> AsyncIterator[tuple[Address, UdpPorts, Outlet, Ingress]]:
    """DNS is served by `programs` in east; the address is that of west's gateway for it."""
    clusterset = FakeClusterset()
    port = free_udp_port()
    async with (
        ingress(clusterset, "east", limits=limits) as far,
        egress(clusterset, {"east": (far.address,)}, service=DNS, limits=limits, tunnels=True) as near,
    ):
        serve(far, *programs)
        near.table = replace(near.table, egress={port: near.table.egress[near.port]})
        ports = UdpPorts(
            LOOPBACK,
            opened=near.served.open_udp,
            ended=near.served.udp_ended,
            limits=limits,
            metrics=GatewayMetrics(),
        )
        await ports.match(near.table.ports("UDP"))
        assert ports.ports == {port}
        try:
            yield Address(LOOPBACK, port), ports, near, far
        finally:
            ports.close()
            await until(lambda: near.traffic.admitted == far.traffic.admitted == 0)


def serve(far: Ingress, *programs: UdpProgram) -> None:
    """From now on these are the endpoints of DNS."""
    way = {DNS: Way(tuple(program.address for program in programs))} if programs else {}
    far.table = replace(far.table, ingress=way)


@on_both_loops
async def test_datagrams_of_any_length_go_through_a_tunnel_and_answers_come_back() -> None:
    with udp_program(echoes=True) as there, udp_program() as client:
        async with talking(there) as (gateway, _, _, far):
            for size in (5, 0, 1400, LONGEST_DATAGRAM):
                payload = os.urandom(size)
                assert await client.asks(payload, of=gateway) == (payload, gateway)
            await until(lambda: far.traffic.admitted == 1)  # one flow, one stream


@on_both_loops
async def test_clients_have_a_stream_each_and_endpoints_share_them() -> None:
    with udp_program(echoes=True) as one, udp_program(echoes=True) as two:
        with udp_program() as a, udp_program() as b:
            async with talking(one, two) as (gateway, ports, _, far):
                for client in (a, b):
                    await client.asks(b"hello", of=gateway)
                    await client.asks(b"again", of=gateway)
                assert len(ports.flows) == 2
                await until(lambda: far.traffic.admitted == 2)
                assert len(one.inbox) == len(two.inbox) == 2, "each flow keeps its endpoint"


@on_both_loops
async def test_what_is_not_served_is_refused_and_found_when_it_is() -> None:
    with udp_program(echoes=True) as there, udp_program() as client:
        async with talking() as (gateway, ports, near, far):
            client.send(b"anybody?", to=gateway)
            await until(lambda: len(ports.resting) == 1)
            # Connections that become tunnels are counted while they are no tunnels yet.
            await until(lambda: near.traffic.admitted == far.traffic.admitted == 0)
            serve(far, there)
            await client.asks_until_answered(b"now?", of=gateway)
            assert b"anybody?" not in there.payloads


@on_both_loops
async def test_when_the_tunnel_is_lost_the_next_tunnel_carries_on() -> None:
    with udp_program(echoes=True) as there, udp_program() as client:
        async with talking(there) as (gateway, ports, _, far):
            await client.asks(b"one", of=gateway)
            far.tunnels.abort()
            await until(lambda: len(ports.flows) == 0)
            await client.asks_until_answered(b"two", of=gateway)


@on_both_loops
async def test_an_idle_flow_leaves_nothing_behind_at_either_end() -> None:
    limits = replace(PATIENT, udp_idle=0.3, udp_unanswered=0.3)
    with udp_program(echoes=True) as there, udp_program() as client:
        async with talking(there, limits=limits) as (gateway, _, near, far):
            await client.asks(b"one", of=gateway)
            await until(lambda: near.traffic.admitted == far.traffic.admitted == 0)

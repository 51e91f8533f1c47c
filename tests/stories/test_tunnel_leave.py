"""Tunnels that are left while clients call: real halves, one cluster that has the service, no call fails."""

import asyncio

from mesh_fakes.backends import backend, echo
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import LOOPBACK, PATIENT, Outlet, egress, ingress, on_both_loops

ROUNDS = 60


async def call(near: Outlet) -> bool:
    """Whether a client got back what it said."""
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, near.port)
        writer.write(b"x")
        writer.write_eof()
        answer = await reader.read()
        writer.close()
    except ConnectionError:
        return False
    return answer == b"x"


@on_both_loops
async def test_no_call_fails_when_a_gateway_leaves_its_tunnels_one_by_one() -> None:
    """Streams cross the go-away: they are refused, and go by another tunnel or directly (rulings 6, 9)."""
    clusterset = FakeClusterset()
    async with (
        backend(echo) as there,
        ingress(clusterset, "east", endpoints=(there,), limits=PATIENT) as far,
        egress(clusterset, {"east": (far.address,)}, limits=PATIENT, tunnels=True) as near,
    ):
        good = 0
        for number in range(ROUNDS):
            calls = asyncio.gather(*[call(near) for _ in range(3)])
            for _ in range(number % 7):
                await asyncio.sleep(0)
            for tunnel in tuple(far.tunnels.all()):
                if tunnel.streams == 0 or number % 3 == 0:
                    tunnel.leave()
                    break
            good += sum(await calls)
        assert good == 3 * ROUNDS

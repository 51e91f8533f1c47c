"""`python -m mesh_bench.gateway_process egress|ingress ...`: a whole gateway, but for the API server.

What the pod's program reads from its cluster is made by hand here and never changes. Everything else is the
pod's: the loop, the limits with their variables (`MESHCTL_GATEWAY_...`), both halves, the tunnels, metrics,
the prober.
"""

import asyncio
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import uvloop

from mesh_bench.certificates import read_standing
from mesh_bench.gateway_objects import EAST, WEST, egress_objects, ingress_objects
from mesh_core.objects import EndpointSlice, MeshPeer
from mesh_core.path_report import Finding
from mesh_gateway.access_log import AccessLog
from mesh_gateway.contexts import ContextKeeper
from mesh_gateway.gateway import Gateway, Surroundings
from mesh_gateway.greeting import Greeting
from mesh_gateway.heap import keep_buffers, keep_objects
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.opening import Source
from mesh_gateway.probe_knock import knock
from mesh_gateway.prober import Prober
from mesh_gateway.route import Address
from mesh_gateway.route_table import Objects
from mesh_gateway.settings import settings_of
from mesh_gateway.sources import Found, Looked
from mesh_runtime.leaf import Standing
from mesh_runtime.log import configure
from mesh_runtime.signals import stop_at_signal


@dataclass(frozen=True, slots=True)
class Leaf:
    """Shows what was read once."""

    current: Standing


@dataclass(frozen=True, slots=True)
class Caches:
    """What the prober asks of the caches."""

    objects: Objects
    network: str = ""

    def peers(self) -> Iterable[MeshPeer]:
        """All of them."""
        return self.objects.peers

    def slices(self) -> Sequence[EndpointSlice]:
        """Those of our controller."""
        return self.objects.slices


class OnePod:
    """Whoever comes is a pod that is known at once, as nearly all are."""

    def __init__(self) -> None:
        self._known: dict[str, Looked] = {}

    def look(self, address: str) -> Looked:
        """The same pod at every address."""
        found = self._known.get(address)
        if found is None:
            source = Source(address=address, namespace="demo", account="default", pod="client-0")
            found = self._known[address] = Found(source)
        return found

    async def wait(self, address: str, *, limit: float) -> Looked:
        """The same."""
        return self.look(address)


class AddressType(click.ParamType[Address]):
    """`HOST:PORT`."""

    name = "address"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """An IPv4 address or a name, and a port."""
        host, _, port = value.rpartition(":")
        return Address(host, int(port))


ADDRESS = AddressType()


@click.command()
@click.argument("half", type=click.Choice(["egress", "ingress"]))
@click.option("--door", type=ADDRESS, required=True, help="Where peers come to, and the host of all ports.")
@click.option("--peer", type=ADDRESS, required=True, help="The other gateway's door.")
@click.option("--listen", type=int, default=0, help="The egress half's port for the service.")
@click.option("--backend", type=ADDRESS, help="The ingress half's endpoint.")
@click.option("--credentials", type=click.Path(path_type=Path), required=True, help="Folder of certificates.")
@click.option("--connections", type=int, help="Streams at a time, also of one peer and in one tunnel.")
@click.option("--direct", is_flag=True, help="No tunnels: a connection for each stream.")
def main(
    half: str,
    door: Address,
    peer: Address,
    listen: int,
    backend: Address | None,
    credentials: Path,
    connections: int | None,
    direct: bool,
) -> None:
    """Run one half until SIGTERM."""
    configure()
    # As the pod's program does it.
    sys.setswitchinterval(0.001)
    keep_buffers()
    if half == "egress":
        objects, cluster = egress_objects(listen=listen, peer=peer), WEST
    else:
        assert backend is not None, "an ingress half needs an endpoint"
        objects, cluster = ingress_objects(backend=backend, peer=peer), EAST
    leaf = Leaf(read_standing(credentials, cluster=cluster))
    uvloop.run(_run(door, objects=objects, leaf=leaf, limits=_limits(connections, direct=direct)))


def _limits(connections: int | None, *, direct: bool) -> Limits:
    # A benchmark that ends has nobody to wait for.
    limits = replace(settings_of([]).limits, farewell=0.0, unlisting=0.0, settle=0.0, drain=0.0)
    if direct:
        limits = replace(limits, tunnels_per_peer=0)
    if connections is None:
        return limits
    # All clients have one address here, and one half of a gateway gets seven eighths of its places.
    return replace(
        limits,
        connections=connections * 8 // 7 + 8,
        streams_per_source=connections,
        streams_per_peer=connections,
        streams_per_tunnel=connections,
    )


async def _run(door: Address, *, objects: Objects, leaf: Leaf, limits: Limits) -> None:
    stop = stop_at_signal()
    standing = ContextKeeper(leaf)
    greeting = Greeting(lambda: standing.current, limits=limits)
    prober = Prober(door.host, surroundings=Caches(objects), greet=greeting, knock=knock, found=_nobody_asks)
    name = str(objects.cluster)
    gateway = Gateway(
        door,
        place=Surroundings(
            leaf=leaf,
            look=lambda: objects,
            sources=OnePod(),
            settled=keep_objects,
            replica=name,
            siblings=lambda: (name,),
            prober=prober,
            problem=_nobody_reads,
            metrics=GatewayMetrics(),
            access=AccessLog(),
        ),
        limits=limits,
    )
    async with asyncio.TaskGroup() as group:
        probing = group.create_task(prober.run())
        gateway.changed()
        await gateway.run(stop=stop)
        probing.cancel()


def _nobody_asks(cluster: str, finding: Finding) -> None:
    """There is no MeshPeer to write this to."""


def _nobody_reads(cluster: str, text: str) -> None:
    """The same."""


if __name__ == "__main__":
    main()

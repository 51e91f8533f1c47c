"""The systems that are compared, each a pair of gateways that carries one service from a port to a server.

Ours are two processes, as in two clusters. A proxy beside us does both halves in one process with one
thread, except where the halves are in two networks, and for those that are asked for apart. All show the
same certificates.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mesh_bench.certificates import Shown, shown
from mesh_bench.envoy_config import egress, envoy_config, ingress
from mesh_bench.faults import BenchFault
from mesh_bench.gateway_objects import EAST, WEST
from mesh_bench.loads import Asked, ask
from mesh_bench.plain_config import haproxy_pair, haproxy_passing, nginx_passing
from mesh_bench.programs import NGINX_STREAM, Programs
from mesh_bench.sandbox import open_files
from mesh_bench.servers import Server, serve
from mesh_core.identity import cluster_id, domain, identity_host
from mesh_core.names import DEFAULT_DOMAIN
from mesh_gateway.route import Address

OURS, DIRECT, PLAIN = "ours", "ours-direct", "ours-plain"
PROXIES = ("envoy", "envoy-h2", "haproxy")
APART = ("envoy-apart", "envoy-h2-apart")
"""Envoy with a process for each half, as ours have and as two clusters would."""
PAIRS = (DIRECT, PLAIN, *PROXIES, *APART)
PASSING = ("haproxy", "nginx")
# Ports: each system has two of its own, ours three. They are free, since the network is the benchmark's own
# and clients' ports begin above (sandbox.py). A gateway of ours listens only on those that routes may have.
_PORTS = {OURS: 20000, "envoy": 20010, "envoy-h2": 20020, "haproxy": 20030, "nginx": 20040}
_PORTS |= {DIRECT: 20050, PLAIN: 20060, "envoy-apart": 20070, "envoy-h2-apart": 20080}
# Open files for each stream, in that process of a system that has the most of them.
FILES = {OURS: 1, "envoy": 4, "envoy-h2": 2, "haproxy": 4}
_TUNNELS = 1.0
"""Seconds in which all tunnels follow the first one: over 50 ms each of them takes 150 and more."""
PASSED_NAME = f"peer.{identity_host(cluster_id(EAST), domain=domain(DEFAULT_DOMAIN))}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are: the egress halves at `host`, the ingress halves at `door_host` and the server at
    `backend`, in the network of that process."""

    host: str
    door_host: str
    backend: Address
    network: int | None = None


NEAR = Place(host="127.0.0.1", door_host="127.0.0.2", backend=Address("10.88.0.1", 9000))
"""All on one machine. The server's address is not loopback, which our gateway never dials."""

_ASIDE = {
    DIRECT: replace(NEAR, host="127.0.0.3", door_host="127.0.0.4"),
    PLAIN: replace(NEAR, host="127.0.0.5", door_host="127.0.0.6"),
}
"""Another pair of ours needs other addresses: a gateway has ports that are the same everywhere."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What all systems are started with; `folder` holds certificates, configurations and logs.

    `connections` is our gateway's limit, None for its default.
    """

    folder: Path
    programs: Programs
    place: Place = NEAR
    connections: int | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A system that runs: clients come to `target`; TLS that is to be passed through comes to `door`."""

    name: str
    target: Address
    door: Address
    servers: tuple[Server, ...]

    @property
    def pids(self) -> tuple[int, ...]:
        """Of all its processes."""
        return tuple(server.pid for server in self.servers)


@contextmanager
def backend(scene: Scene) -> Iterator[Server]:
    """The server behind all gateways."""
    address = scene.place.backend
    argv = [scene.programs.load, "-mode", "server", "-addr", str(address)]
    server = serve("backend", argv, folder=scene.folder, network=scene.place.network)
    try:
        server.await_ports([address.port])
        yield server
    finally:
        server.stop()


@contextmanager
def running(name: str, *, scene: Scene, passing: bool = False) -> Iterator[Running]:
    """The system, listening and not used yet; `passing`: a proxy passes TLS through and does nothing else."""
    port = _PORTS[name]
    place = _ASIDE.get(name, scene.place)
    target, door = Address(place.host, port), Address(place.door_host, port + 1)
    with ExitStack() as stack:
        if passing and name != OURS:
            servers = [_passing(name, door=door, scene=scene)]
            expected = [{door.port}]
        else:
            servers = _pair(name, target=target, door=door, scene=scene)
            expected = [{target.port}, {door.port}] if len(servers) > 1 else [{target.port, door.port}]
        for server in servers:
            stack.callback(server.stop)
        for server, ports in zip(servers, expected, strict=True):
            server.await_ports(ports)
        if name in (OURS, PLAIN) and not passing:
            # In a cluster they stand long before anybody comes.
            servers[0].await_connection(door.port)
            time.sleep(_TUNNELS)
        yield Running(name, target, door, tuple(servers))


def check(system: Running, *, scene: Scene) -> None:
    """One connection through it, which must be answered. Raises BenchFault."""
    seen = ask(scene.programs.load, Asked("conn", count=1, seconds=10.0), target=system.target)
    if seen.ops != 1:
        words = "; ".join(f"{server.name}: {server.last_words}" for server in system.servers)
        raise BenchFault(
            f"{system.name} carries nothing ({seen.fault}); {words}", next_step="mend its configuration"
        )


def _pair(name: str, *, target: Address, door: Address, scene: Scene) -> list[Server]:
    west, east = shown(scene.folder, cluster=WEST), shown(scene.folder, cluster=EAST)
    if name in (OURS, DIRECT, PLAIN):
        return _ours(name, target=target, door=door, scene=scene)
    if name == "haproxy":
        text = haproxy_pair(
            target, door=door, backend=scene.place.backend, west=west, east=east, files=open_files()
        )
        return [_haproxy(text, scene=scene)]
    return _envoy(name, target=target, door=door, scene=scene, files=(west, east))


def _ours(name: str, *, target: Address, door: Address, scene: Scene) -> list[Server]:
    common = ["--credentials", str(scene.folder), *(["--direct"] if name == DIRECT else [])]
    if scene.connections is not None:
        common += ["--connections", str(scene.connections)]
    # A gateway listens on one address. Nobody uses the egress half's own door.
    west = Address(target.host, door.port + 1)
    python = _python(scene, compiled=name != PLAIN)
    egress_half = ["egress", "--door", str(west), "--peer", str(door), "--listen", str(target.port)]
    ingress_half = [
        "ingress",
        "--door",
        str(door),
        "--peer",
        str(west),
        "--backend",
        str(scene.place.backend),
    ]
    return [
        serve(f"{name}-egress", [*python, *egress_half, *common], folder=scene.folder),
        serve(
            f"{name}-ingress",
            [*python, *ingress_half, *common],
            folder=scene.folder,
            network=scene.place.network,
        ),
    ]


def _python(scene: Scene, *, compiled: bool) -> list[str]:
    path = filter(None, (scene.programs.native if compiled else "", os.environ.get("PYTHONPATH")))
    return ["env", f"PYTHONPATH={os.pathsep.join(path)}", sys.executable, "-m", "mesh_bench.gateway_process"]


def _envoy(
    name: str, *, target: Address, door: Address, scene: Scene, files: tuple[Shown, Shown]
) -> list[Server]:
    west, east = files
    tunnels = name.startswith("envoy-h2")
    halves = {
        "egress": egress(target, door=door, files=west, tunnels=tunnels),
        "ingress": ingress(door, backend=scene.place.backend, files=east, tunnels=tunnels),
    }
    if scene.place.network is None and name not in APART:
        return [_one_envoy(name, envoy_config(*halves.values()), scene=scene)]
    return [
        _one_envoy(
            f"{name}-{half}",
            envoy_config(config),
            scene=scene,
            network=scene.place.network if half == "ingress" else None,
        )
        for half, config in halves.items()
    ]


def _one_envoy(name: str, text: str, *, scene: Scene, network: int | None = None) -> Server:
    path = scene.folder / f"{name}.json"
    path.write_text(text)
    argv = [scene.programs.envoy, "--config-path", str(path), "--concurrency", "1"]
    argv += ["--disable-hot-restart", "--log-level", "warning"]
    return serve(name, argv, folder=scene.folder, network=network)


def _haproxy(text: str, *, scene: Scene) -> Server:
    path = scene.folder / "haproxy.cfg"
    path.write_text(text)
    return serve("haproxy", [scene.programs.haproxy, "-db", "-f", str(path)], folder=scene.folder)


def _passing(name: str, *, door: Address, scene: Scene) -> Server:
    if name == "haproxy":
        text = haproxy_passing(door, backend=scene.place.backend, name=PASSED_NAME, files=open_files())
        return _haproxy(text, scene=scene)
    path = scene.folder / "nginx.conf"
    text = nginx_passing(
        door,
        backend=scene.place.backend,
        name=PASSED_NAME,
        module=NGINX_STREAM,
        folder=str(scene.folder),
    )
    path.write_text(text)
    argv: Sequence[str] = (scene.programs.nginx, "-p", str(scene.folder), "-c", str(path))
    return serve("nginx", argv, folder=scene.folder)

"""A gateway of west, real ones of east, and a way between them on which a test does harm.

    unshare --net python -m mesh_fakes.suffering_way SCENARIO SECONDS

It works on a loopback device of its own, whatever it does to it, and says in one line of JSON what the prober
of west found: each verdict with its time, when harm was done, how long at most no tunnel was heard, by how
much the slowest ping was late, and how long at most the machine let this process stand still.
Scenarios are the functions below that are named so.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from mesh_core.identity import cluster_id
from mesh_core.objects import EndpointSlice, MeshPeer
from mesh_core.path_report import Finding
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.far_gateways import FarGateways, far_gateways
from mesh_fakes.gateways import LOOPBACK, Outlet, egress, leaf_of
from mesh_fakes.slow_router import BEHIND, slow_router
from mesh_fakes.waiting import until
from mesh_gateway.contexts import ContextKeeper
from mesh_gateway.greeting import Greeting
from mesh_gateway.limits import Limits
from mesh_gateway.probe_knock import knock
from mesh_gateway.prober import Prober
from mesh_gateway.route import Address

EAST = cluster_id("east")
_REPLICAS = 2
_LIMITS = Limits()
_DEATHS_APART = 6.0
_PACE = 0.1
_OWN_PAUSE = 5.0
_ROUTED = frozenset({"full_link"})


@dataclass(slots=True)
class Surroundings:
    """East, dialled at these doors, on another network."""

    gateways: tuple[Address, ...]
    network: str = ""

    def peers(self) -> Iterable[MeshPeer]:
        """East."""
        ways = [{"host": way.host, "port": way.port} for way in self.gateways]
        body = {"metadata": {"name": "east"}, "spec": {"gateways": ways}}
        return (msgspec.convert(body, MeshPeer),)

    def slices(self) -> Iterable[EndpointSlice]:
        """None."""
        return ()


@dataclass(slots=True)
class Scene:
    """What a scenario works with; `harm` are the times at which it is done, `found` the verdicts."""

    near: Outlet
    far: FarGateways
    seconds: float
    harm: list[float] = field(default_factory=list)
    found: list[tuple[float, bool]] = field(default_factory=list)
    longest_silence: float = 0.0
    latest_ping: float = 0.0
    stood_still: float = 0.0

    def look(self) -> None:
        """Notes how the tunnels fare."""
        silence = self.near.witness.silence.get("east", 0.0)
        self.longest_silence = max(self.longest_silence, silence)
        lags = [tunnel.lag for tunnel in self.near.tunnels.of(EAST)]
        self.latest_ping = max(self.latest_ping, *lags, 0.0)

    def hear(self, _cluster: str, finding: Finding) -> None:
        """A finding of the prober."""
        if not self.found or self.found[-1][1] != finding.reachable:
            self.found.append((now(), finding.reachable))

    @property
    def is_up(self) -> bool:
        """The last verdict."""
        return bool(self.found) and self.found[-1][1]

    def harmed(self) -> None:
        """It begins now."""
        self.harm.append(now())


def now() -> float:
    return asyncio.get_running_loop().time()


# Scenarios


async def calm(scene: Scene) -> None:
    """Nothing happens."""
    await asyncio.sleep(scene.seconds)


async def loss_1(scene: Scene) -> None:
    """One of a hundred packets is lost, in each direction."""
    await _lossy(scene, permille=10)


async def loss_5(scene: Scene) -> None:
    """Five of a hundred."""
    await _lossy(scene, permille=50)


async def full_link(scene: Scene) -> None:
    """Uploads fill a link of 10 Mbit/s whose router queues three seconds of them."""
    async with _uploading(scene, streams=4):
        await asyncio.sleep(scene.seconds)


async def own_pause(scene: Scene) -> None:
    """This process stands still for five seconds, again and again."""
    me, until_when = os.getpid(), now() + scene.seconds
    while now() < until_when:
        script = f"sleep 0.5; kill -STOP {me}; sleep {_OWN_PAUSE}; kill -CONT {me}"
        await asyncio.create_subprocess_exec("sh", "-c", script)
        await asyncio.sleep(7)


async def short_pause(scene: Scene) -> None:
    """All gateways of east stand still for 1.4 seconds, again and again."""

    async def pause(_turn: int) -> None:
        scene.far.signal(signal.SIGSTOP)
        await asyncio.sleep(1.4)
        scene.far.signal(signal.SIGCONT)
        await asyncio.sleep(2.0)

    await _again(scene, pause)


async def one_paused(scene: Scene) -> None:
    """One gateway of east stands still for good, and lives."""
    scene.far.signal(signal.SIGSTOP, replica=0)
    await asyncio.sleep(scene.seconds)


async def tunnels_cut(scene: Scene) -> None:
    """All tunnels are reset, again and again, and dialled anew."""

    async def cut(_turn: int) -> None:
        for tunnel in scene.near.tunnels.of(EAST):
            tunnel.abort("a test cuts it")
        await asyncio.sleep(2.0)

    await _again(scene, cut)


async def rolling(scene: Scene) -> None:
    """One gateway after the other is killed and begins again."""

    async def one(turn: int) -> None:
        replica = turn % _REPLICAS
        scene.far.kill(replica)
        await asyncio.sleep(2.5)
        scene.far.start(replica)
        await asyncio.sleep(4.0)

    await _again(scene, one)


async def deaths(scene: Scene) -> None:
    """Nothing arrives any more, without a word; then it does again."""

    async def die(_turn: int) -> None:
        await asyncio.sleep(0.37 * (_turn % 7))  # at any moment between two pings
        scene.harmed()
        _drop(scene, permille=1000)
        await asyncio.sleep(_DEATHS_APART)
        _nft("delete table inet harm")
        await _well(scene)
        await asyncio.sleep(1.0)

    await _again(scene, die)


async def kills(scene: Scene) -> None:
    """All gateways of east are killed: their doors refuse. Then they begin again."""

    async def one(turn: int) -> None:
        await asyncio.sleep(0.37 * (turn % 7))
        scene.harmed()
        scene.far.end()
        await asyncio.sleep(_DEATHS_APART)
        for replica in range(_REPLICAS):
            scene.far.start(replica)
        await _well(scene)
        await asyncio.sleep(1.0)

    await _again(scene, one)


SCENARIOS: dict[str, Callable[[Scene], Awaitable[None]]] = {
    one.__name__: one
    for one in (
        calm,
        loss_1,
        loss_5,
        full_link,
        own_pause,
        short_pause,
        one_paused,
        tunnels_cut,
        rolling,
        deaths,
        kills,
    )
}


async def _again(scene: Scene, turn: Callable[[int], Awaitable[None]]) -> None:
    ends, count = now() + scene.seconds, 0
    while now() < ends:
        await turn(count)
        count += 1


async def _lossy(scene: Scene, *, permille: int) -> None:
    _drop(scene, permille=permille)
    async with _uploading(scene, streams=1, rate=20_000):
        await asyncio.sleep(scene.seconds)


def _drop(scene: Scene, *, permille: int) -> None:
    ports = ", ".join(str(way.port) for way in scene.far.addresses)
    chance = f"numgen random mod 1000 < {permille} " if permille < 1000 else ""
    rules = "\n".join(f"tcp {side} {{ {ports} }} {chance}drop" for side in ("dport", "sport"))
    _nft(f"table inet harm {{ chain comes {{ type filter hook input priority 0;\n{rules}\n}}\n}}\n")


@asynccontextmanager
async def _uploading(scene: Scene, *, streams: int, rate: float = 0.0) -> AsyncIterator[None]:
    """So many clients send to HELLO as fast as they may, or so many bytes a second."""

    async def upload() -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, scene.near.port)
                while True:
                    writer.write(bytes(16_384))
                    await writer.drain()
                    await asyncio.sleep(16_384 / rate if rate else 0)
            except OSError:
                await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(upload()) for _ in range(streams)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _nft(rules: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, timeout=60)


async def _run(clusterset: FakeClusterset, far: FarGateways, *, scenario: str, seconds: float) -> None:
    contexts = ContextKeeper(leaf_of(clusterset, "west"))
    async with egress(clusterset, {"east": far.addresses}, limits=_LIMITS, tunnels=False) as near:
        scene = Scene(near, far, seconds)
        prober = near.witness.prober = Prober(
            LOOPBACK,
            surroundings=Surroundings(far.addresses),
            greet=Greeting(lambda: contexts.current, limits=_LIMITS),
            knock=knock,
            found=scene.hear,
        )
        probing = asyncio.create_task(prober.run())
        near.keeper.follow(near.table)
        await _well(scene)
        began = now()
        looking = asyncio.create_task(_looking(scene))
        await SCENARIOS[scenario](scene)
        looking.cancel()
        probing.cancel()
    said = {
        "harm": [round(at - began, 3) for at in scene.harm],
        "found": [(round(at - began, 3), is_up) for at, is_up in scene.found],
        "longest_silence": round(scene.longest_silence, 3),
        "latest_ping": round(scene.latest_ping, 3),
        "stood_still": round(scene.stood_still, 3),
    }
    print(json.dumps(said))


async def _well(scene: Scene) -> None:
    """Returns when all tunnels are there that there should be; the machine may be busy with other things."""

    def is_well() -> bool:
        opened = [tunnel for tunnel in scene.near.tunnels.of(EAST) if tunnel.is_open]
        return scene.is_up and len(opened) >= _LIMITS.tunnels_per_peer

    await until(is_well, limit=120)


async def _looking(scene: Scene) -> None:
    while True:
        scene.look()
        began = now()
        await asyncio.sleep(_PACE)
        late = now() - began - _PACE
        # Longer than that is the pause that a scenario makes itself.
        if late < _OWN_PAUSE - 2 * _PACE:
            scene.stood_still = max(scene.stood_still, late)


def main() -> None:
    """One scenario."""
    scenario, seconds = sys.argv[1], float(sys.argv[2])
    subprocess.run("ip link set lo mtu 1500 up".split(), check=True, timeout=60)
    clusterset = FakeClusterset()
    with ExitStack() as stack:
        behind = stack.enter_context(slow_router()) if scenario in _ROUTED else None
        host = LOOPBACK if behind is None else BEHIND
        far = stack.enter_context(far_gateways(clusterset, number=_REPLICAS, behind=behind, host=host))
        asyncio.run(_run(clusterset, far, scenario=scenario, seconds=seconds))


if __name__ == "__main__":
    main()

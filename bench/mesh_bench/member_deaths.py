"""One member dies, and what others see of it is timed: importers, DNS, callers, the hub, the Placement.

Every time is seconds after the moment at which everything of it stands still and nothing of it is heard; all
processes of a machine share the clock. The hub's times are of watches, one more millisecond or so.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from typing import Any

import msgspec

from mesh_bench.attempts import Attempts, outcome
from mesh_bench.bed import child_environment
from mesh_bench.death_rows import Death
from mesh_bench.frozen import frozen
from mesh_bench.full_fleet import (
    APP,
    CALLER,
    HEADLESS,
    HUB,
    MEMBERS,
    SERVERS,
    SERVICE,
    VICTIM,
    apply,
    placement,
)
from mesh_bench.full_pair import NAMESPACE, PORT, FullPair, inside
from mesh_bench.name_hearing import Heard, asker
from mesh_bench.name_turns import Wanted, settled
from mesh_core.names import CLUSTERSET_ZONE, DNS, LABEL_SERVICE_NAME, LABEL_SOURCE_CLUSTER, SYSTEM_NAMESPACE
from mesh_placement.resources import CLUSTER_REGISTRATIONS, PLACEMENT_REPORTS, PLACEMENTS
from mesh_runtime.kube import ENDPOINT_SLICES, SERVICE_IMPORTS, SERVICES, Informer, KubeClient, connect

_NAMES = {"mesh_dns": (SYSTEM_NAMESPACE, DNS), "coredns": ("kube-system", "kube-dns")}
_RATE, _PATIENCE = 50.0, 2.0
_LEAD, _TAIL = 3.0, 5.0
LIMIT = 180.0
_PASSED = 90.0
_POLL = 0.1


class Watch:
    """What the hub and the importers say, as it comes; `at` is when a station was first passed."""

    def __init__(self, hub: KubeClient, importers: dict[str, KubeClient]) -> None:
        self.registrations = Informer(hub, CLUSTER_REGISTRATIONS)
        self.placements = Informer(hub, PLACEMENTS)
        self.reports = Informer(hub, PLACEMENT_REPORTS)
        self.slices = {
            name: Informer(kube, ENDPOINT_SLICES, namespace=NAMESPACE) for name, kube in importers.items()
        }
        self.at: dict[str, float] = {}
        # Any: each of a kind of its own.
        self._caches: tuple[Informer[Any], ...] = (self.registrations, self.placements, self.reports)
        self._caches += tuple(self.slices.values())
        for one in self._caches:
            one.on_change(self._look)
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as group:
            for one in self._caches:
                group.create_task(one.run())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when it holds; TimeoutError when it never does."""
        async with asyncio.timeout(LIMIT):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    @property
    def is_gone(self) -> bool:
        """Whether no importer has a ready endpoint of the one that dies. Of the headless Service: slices of
        the other one list gateways, which go on being good for the clusters that are left."""
        return not any(self._ready(HEADLESS))

    @property
    def is_whole(self) -> bool:
        """Whether all importers have some of both Services."""
        return all((*self._ready(SERVICE), *self._ready(HEADLESS)))

    def _ready(self, service: str) -> list[bool]:
        return [
            any(
                endpoint.is_ready
                for piece in cache.values()
                if piece.metadata.labels.get(LABEL_SOURCE_CLUSTER) == VICTIM
                and piece.metadata.labels.get(LABEL_SERVICE_NAME) == service
                for endpoint in piece.endpoints or ()
            )
            for cache in self.slices.values()
        ]

    def phases(self) -> dict[str, str]:
        """Of all members."""
        return {one.metadata.name: one.status.phase for one in self.registrations.values()}

    def homes(self) -> dict[str, int]:
        """Where the Placement is, and what is ready there."""
        found = self.placements.get(APP, namespace=NAMESPACE)
        return {one.cluster: one.ready for one in found.status.clusters} if found is not None else {}

    def _look(self) -> None:
        self._changed.set()
        homes = self.homes()
        codes = {
            one.code for report in self.reports.values() for one in report.clusters if one.cluster == VICTIM
        }
        for name, is_so in (
            ("endpoints", self.is_gone),
            ("unreachable", self.phases().get(VICTIM) == "Unreachable"),
            ("dead", "Dead" in codes),
            ("decided", bool(homes) and VICTIM not in homes),
            ("ready", VICTIM not in homes and 1 in homes.values()),
        ):
            if is_so:
                self.at.setdefault(name, time.monotonic())


class Deaths:
    """Dies and comes back as often as it is asked to."""

    def __init__(self, fleet: FullPair, *, image: str, watch: Watch, heard: Heard, address: str) -> None:
        self._fleet, self._image = fleet, image
        self._watch, self._heard, self._address = watch, heard, address

    async def one(self) -> Death:
        """Once. Whoever dies is back afterwards, and not all of it well yet."""
        await self._arranged()
        wanted = Wanted(self._heard.last("coredns"), len(SERVERS) - 1)
        async with self._calling() as said:
            await asyncio.sleep(_LEAD)
            self._watch.at.clear()
            async with self._dead() as died:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PASSED):
                        await self._watch.until(lambda: {"endpoints", "ready"} <= self._watch.at.keys())
                        for server in _NAMES:
                            await self._heard.until(server, wanted=wanted)
                await asyncio.sleep(_TAIL)
                ended = time.monotonic()
                # Before it is back: then there are other answers.
                stations = {name: max(0.0, at - died) for name, at in self._watch.at.items()}
                turns = tuple(self._heard.turns)
        names = [settled(turns, server=one, since=died, wanted=wanted) for one in _NAMES]
        known = [one for one in names if one is not None]
        if len(known) == len(names):
            stations["dns"] = max(known)
        made = msgspec.json.decode(b"".join(said), type=Attempts)
        return Death(stations, outcome(made, fault=died, window=ended - died))

    @asynccontextmanager
    async def _dead(self) -> AsyncIterator[float]:
        """It stands still while the block runs; when it began to. What is watched goes on meanwhile: to stop
        all its processes takes seconds on a busy machine."""
        with ExitStack() as stack:
            died = await asyncio.to_thread(stack.enter_context, frozen(self._fleet.set, VICTIM))
            try:
                yield died
            finally:
                await asyncio.to_thread(stack.close)

    async def _arranged(self) -> None:
        """All are well, and the Placement is where it will have to leave; others would do as well."""
        await self._watch.until(lambda: set(self._watch.phases().values()) == {"Ready"})
        for clusters in ((VICTIM,), MEMBERS):
            apply(self._fleet, HUB, placement(self._image, *clusters))
            await self._watch.until(lambda: self._watch.homes() == {VICTIM: 1})
        await self._watch.until(lambda: self._watch.is_whole)
        async with asyncio.timeout(LIMIT):
            for server in _NAMES:
                await self._heard.until(server, wanted=Wanted((), len(SERVERS)))

    @asynccontextmanager
    async def _calling(self) -> AsyncIterator[list[bytes]]:
        """New connections from east while the block runs; then what came of them is in the list."""
        program = (
            sys.executable,
            "-m",
            "mesh_bench.rate",
            self._address,
            str(PORT),
            str(_RATE),
            str(_PATIENCE),
        )
        process = await asyncio.create_subprocess_exec(
            *inside(self._fleet, CALLER),
            *program,
            env=child_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        said: list[bytes] = []
        try:
            yield said
            # At the end of its input it says what came of all.
            assert process.stdin is not None
            process.stdin.close()
            told, _ = await asyncio.wait_for(process.communicate(), 60)
            said.append(told)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@asynccontextmanager
async def deaths(fleet: FullPair, *, image: str) -> AsyncIterator[Deaths]:
    """Everything that is watched, and the Services known to the caller."""
    async with AsyncExitStack() as stack:

        async def client(cluster: str) -> KubeClient:
            found = connect(kubeconfig=fleet.set / "kubeconfig", context=cluster)
            return await stack.enter_async_context(found)

        importers = {name: await client(name) for name in MEMBERS if name != VICTIM}
        watch = Watch(await client(HUB), importers)
        watching = asyncio.create_task(watch.run())
        stack.callback(watching.cancel)
        caller = importers[CALLER]
        servers = {
            label: (await caller.get(SERVICES, name, namespace=space)).spec.cluster_ip
            for label, (space, name) in _NAMES.items()
        }
        address = await _address(caller)
        name = f"{HEADLESS}.{NAMESPACE}.svc.{CLUSTERSET_ZONE}"
        heard = await stack.enter_async_context(asker(inside(fleet, CALLER), name=name, servers=servers))
        yield Deaths(fleet, image=image, watch=watch, heard=heard, address=address)


async def _address(caller: KubeClient) -> str:
    """Of the Service, in the caller's cluster."""
    async with asyncio.timeout(LIMIT):
        while True:
            found = await caller.find(SERVICE_IMPORTS, SERVICE, namespace=NAMESPACE)
            if found is not None and found.spec.ips:
                return found.spec.ips[0]
            await asyncio.sleep(_POLL)

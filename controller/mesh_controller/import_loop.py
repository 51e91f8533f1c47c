"""Imports: look, think, act; run by the leading controller.

1. A look leads to a plan, and what its writes left to the next plan, until there is nothing to write: what
   the API server answered is as good as what the caches will show a moment later.
2. What somebody waits for goes first: imports of other clusters' exports, and of them whatever carries
   traffic. Imports of our own exports, and statuses while others wait, come after.
3. A round has `LIMIT` seconds, so that a port granted in it is used or forgotten long before its note
   ends (`mesh_core.ports.REST`).
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from mesh_controller.act import Writer
from mesh_controller.caches import Caches, ServiceKey
from mesh_controller.echoes import Echoes, Trace
from mesh_controller.key_loop import KeyLoop
from mesh_controller.look import Look
from mesh_controller.port_book import PortBook
from mesh_core.errors import EnvironmentFault, MeshError
from mesh_core.import_plan import plan_import
from mesh_core.import_view import ImportView, absorbed, is_open
from mesh_core.lanes import PATIENCE as LANES_PATIENCE
from mesh_core.layout import lanes_are_off, wanted_targets
from mesh_core.merge import MergedImport
from mesh_core.objects import Service
from mesh_core.plan import Create, Kind, Patch, Plan, Step
from mesh_core.port_wear import PeerPortsExhausted, peer_of_target
from mesh_core.ports import PortTarget
from mesh_core.stand_in_plan import new_stand_ins
from mesh_core.stand_ins import next_expiry, stand_in_of, without_room
from mesh_runtime.clock import Clock
from mesh_runtime.kube import ApiError
from mesh_runtime.log import logger

_log = logger(__name__)

LIMIT = 30.0
PATIENCE = timedelta(seconds=3)
"""For so long a refused clusterset IP is asked for again before another is taken."""
_WORKERS = 64
_MOST_PLANS = 4
_LANES_AGAIN = LANES_PATIENCE
_ROOM_AGAIN = 60.0
"""Seconds after which ports of lanes are asked for again that could not be had, or had no room."""


class TooSlow(EnvironmentFault):
    """A round took so long that what it was based on may be old."""


class ImportLoop:
    """Keeps ServiceImports, shadow Services, slices and stand-ins what the records say."""

    def __init__(self, *, caches: Caches, look: Look, writer: Writer, book: PortBook, clock: Clock) -> None:
        self._caches = caches
        self._look = look
        self._writer = writer
        self._book = book
        self._clock = clock
        self._lost_ips: set[ServiceKey] = set()
        self._refused_ips: dict[ServiceKey, datetime] = {}
        self._obstacles: dict[ServiceKey, str] = {}
        self._lanes_off: dict[ServiceKey, datetime] = {}
        self._lacking_lanes: dict[ServiceKey, float] = {}  # seconds until their ports are asked for again
        self._without_room: set[ServiceKey] = set()
        self.loop: KeyLoop[ServiceKey] = KeyLoop(
            self.reconcile,
            name="import",
            all_keys=caches.names,
            workers=_WORKERS,
            is_urgent=self._is_urgent,
        )
        self._in_no_hurry: set[ServiceKey] = set()
        self._echoes: Echoes[ServiceKey] = Echoes(caches.find)
        caches.feed_everything(self.loop)
        caches.services.follow(lambda _key, old, new: self._service_changed(old, new=new))
        look.replicas.on_change(self._gateways_changed)

    async def reconcile(self, key: ServiceKey) -> float | None:
        """Bring one import nearer to what it should be; seconds until it wants another look by itself."""
        overdue = self._echoes.overdue(key)
        if overdue is not None:
            return overdue
        try:
            async with asyncio.timeout(LIMIT):
                return await self._round(key)
        except TimeoutError as error:
            raise TooSlow(
                f"writing took longer than {LIMIT:.0f} s", next_step="look at the API server's load"
            ) from error

    async def _round(self, key: ServiceKey) -> float | None:
        self._in_no_hurry.discard(key)
        view, failure = await self._view(key)
        self._say_obstacle(key)
        self._note_room(key, view=view)
        traces: tuple[Trace, ...] = ()
        for _ in range(_MOST_PLANS):
            plan = plan_import(view, now=self._clock())
            if not plan:
                self._lost_ips.discard(key)
                self._refused_ips.pop(key, None)
                break
            if self.loop.urgent and all(_is_status(step) for step in plan):
                self._in_no_hurry.add(key)
                self.loop.add(key)
                break
            left = await self._write_promised(key, plan=plan)
            traces += left
            self._echoes.wrote(key, traces)
            view = absorbed(view, left=tuple((t.kind, t.namespace, t.name, t.left) for t in left))
        if failure is not None:
            raise failure
        return self._next_look(key, view=view)

    def _gateways_changed(self) -> None:
        """A gateway fell silent, or is heard again."""
        for key in self._caches.behind_gateways():
            self.loop.add(key)

    def _note_room(self, key: ServiceKey, *, view: ImportView) -> None:
        merged = view.merged
        if merged is not None and without_room(view, merged=merged):
            self._without_room.add(key)
        else:
            self._without_room.discard(key)

    def _service_changed(self, old: Service | None, *, new: Service | None) -> None:
        """A stand-in that goes makes room for those of other imports from its cluster."""
        if old is not None and new is None and stand_in_of(old) is not None:
            self._look_for_room()

    def _look_for_room(self) -> None:
        for key in sorted(self._without_room):
            self.loop.add(key)

    def _is_urgent(self, key: ServiceKey) -> bool:
        return key not in self._in_no_hurry and bool(self._caches.records_of.count(key))

    async def _view(self, key: ServiceKey) -> tuple[ImportView, MeshError | None]:
        """The import with the ports that it needs, and what went wrong with these."""
        self._lacking_lanes.pop(key, None)
        view = self._look.import_view(
            key,
            ports={},
            claims=self._book.claims,
            reuse_ips=key not in self._lost_ips,
            settled=self._settled(key),
        )
        merged = view.merged
        if merged is None or not is_open(view.home):
            return view, None
        targets = wanted_targets(view, merged=merged)
        if not targets:
            return view, None
        try:
            worn = self._worn(targets, merged=merged, cluster=view.cluster)
            ports = await self._book.hold(
                target for target in targets if not target.lane and target not in worn
            )
            fault = PeerPortsExhausted(min(worn.values())) if worn else None
            return replace(view, ports={**ports, **await self._lanes(key, targets)}), fault
        except MeshError as error:
            # Ports that cannot be had must not keep the others, and our own pods, from being followed.
            held = {target: self._book.claims.port_of(target) for target in targets}
            kept = {target: port for target, port in held.items() if port is not None}
            return replace(view, ports=kept), error

    def _worn(
        self, targets: Iterable[PortTarget], *, merged: MergedImport, cluster: str
    ) -> Mapping[PortTarget, str]:
        """Targets that get no port, each with the one peer that they are for and that has had its share."""
        wanting = [one for one in targets if not one.lane and self._book.claims.port_of(one) is None]
        peers = {one: peer_of_target(one, serving=merged.serving, cluster=cluster) for one in wanting}
        full = {peer for peer in set(peers.values()) if self._book.is_worn_by(peer)}
        return {one: peer for one, peer in peers.items() if peer in full}

    async def _lanes(self, key: ServiceKey, targets: Iterable[PortTarget]) -> Mapping[PortTarget, int]:
        """Ports of further lanes: those held, and more only while there are plenty; they are a nicety, which
        nothing else waits for. What is missing is asked for again."""
        further = [target for target in targets if target.lane]
        if further and self._book.is_roomy:
            try:
                return await self._book.hold(further)
            except MeshError as error:
                self._lacking_lanes[key] = _LANES_AGAIN
                _log.warning("no ports for further lanes", why=error.what)
        held = {target: self._book.claims.port_of(target) for target in further}
        found = {target: port for target, port in held.items() if port is not None}
        if len(found) < len(further):
            self._lacking_lanes.setdefault(key, _ROOM_AGAIN)
        return found

    async def _write_promised(self, key: ServiceKey, *, plan: Plan) -> tuple[Trace, ...]:
        promised = new_stand_ins(plan)
        try:
            with self._look.promising(promised):
                return await self._write(key, plan=plan)
        except BaseException:
            # Room that was promised and not used is free again, and no Service goes to tell of it.
            if promised:
                self._look_for_room()
            raise

    async def _write(self, key: ServiceKey, *, plan: Plan) -> tuple[Trace, ...]:
        try:
            return await self._writer.write(plan)
        except ApiError as error:
            if error.status == 422 and _asks_for_an_ip(plan):
                self._note_refused_ip(key)
            raise

    def _settled(self, key: ServiceKey) -> bool:
        """Whether lanes that are off have been so for long enough."""
        since = self._lanes_off.get(key)
        return since is not None and (self._clock() - since).total_seconds() >= LANES_PATIENCE

    def _next_look(self, key: ServiceKey, *, view: ImportView) -> float | None:
        """Seconds until something is due that no event will tell of."""
        mortal = view.stand_ins + ((view.shadow,) if view.shadow is not None else ())
        waits = [next_expiry(mortal, now=self._clock()), self._lacking_lanes.get(key)]
        merged = view.merged
        if merged is not None and lanes_are_off(view, merged=merged):
            if self._settled(key):
                # They cannot be as they should be, for want of ports: wait another time.
                self._lanes_off.pop(key)
            since = self._lanes_off.setdefault(key, self._clock())
            waits.append(max(LANES_PATIENCE - (self._clock() - since).total_seconds(), 0.1))
        else:
            self._lanes_off.pop(key, None)
        return min((wait for wait in waits if wait is not None), default=None)

    def _note_refused_ip(self, key: ServiceKey) -> None:
        """The IP that the ServiceImport states was refused: when that lasts, a new one must do.

        The API server tells of a deleted Service before it has freed its IP, so the first refusals may
        only mean that we were quick.
        """
        now = self._clock()
        if now - self._refused_ips.setdefault(key, now) > PATIENCE:
            self._lost_ips.add(key)

    def _say_obstacle(self, key: ServiceKey) -> None:
        """Log somebody's own object in our way, once."""
        obstacle = self._look.obstacle(key)
        if obstacle and self._obstacles.get(key) != obstacle:
            _log.warning("an import is blocked", namespace=key[0], name=key[1], why=obstacle)
            self._obstacles[key] = obstacle
        elif not obstacle:
            self._obstacles.pop(key, None)


def _is_status(step: Step) -> bool:
    return isinstance(step, Patch) and step.subresource == "status"


def _asks_for_an_ip(plan: Plan) -> bool:
    return any(
        isinstance(step, Create) and step.kind is Kind.SERVICE and "clusterIP" in step.body["spec"]
        for step in plan
    )

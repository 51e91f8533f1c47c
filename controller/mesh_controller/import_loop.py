"""Imports: look, think, act; run by the leading controller.

1. One look, one plan. What a plan leaves open comes with the watch event of what it wrote.
2. A round has `LIMIT` seconds, so that a port granted in it is used or forgotten long before its note
   ends (`mesh_core.ports.REST`).
"""

import asyncio
from datetime import datetime, timedelta

from mesh_controller.act import Writer
from mesh_controller.caches import Caches, ServiceKey
from mesh_controller.echoes import Echoes
from mesh_controller.key_loop import KeyLoop
from mesh_controller.look import Look, targets_of
from mesh_controller.port_book import PortBook
from mesh_core.errors import EnvironmentFault, MeshError
from mesh_core.import_plan import plan_import
from mesh_core.import_view import is_open
from mesh_core.merge import merge
from mesh_core.plan import Create, Kind, Plan
from mesh_core.slices import remote_port_names
from mesh_runtime.clock import Clock
from mesh_runtime.kube import ApiError
from mesh_runtime.log import logger

_log = logger(__name__)

LIMIT = 30.0
PATIENCE = timedelta(seconds=3)
"""For so long a refused clusterset IP is asked for again before another is taken."""
_WORKERS = 8


class TooSlow(EnvironmentFault):
    """A round took so long that what it was based on may be old."""


class ImportLoop:
    """Keeps ServiceImports, shadow Services and slices what the records say."""

    def __init__(self, *, caches: Caches, look: Look, writer: Writer, book: PortBook, clock: Clock) -> None:
        self._caches = caches
        self._look = look
        self._writer = writer
        self._book = book
        self._clock = clock
        self._lost_ips: set[ServiceKey] = set()
        self._refused_ips: dict[ServiceKey, datetime] = {}
        self._obstacles: dict[ServiceKey, str] = {}
        self.loop: KeyLoop[ServiceKey] = KeyLoop(
            self.reconcile, name="import", all_keys=caches.names, workers=_WORKERS
        )
        self._echoes: Echoes[ServiceKey] = Echoes(caches.find)
        caches.feed_everything(self.loop)

    async def reconcile(self, key: ServiceKey) -> float | None:
        """Bring one import nearer to what it should be."""
        overdue = self._echoes.overdue(key)
        if overdue is not None:
            return overdue
        try:
            async with asyncio.timeout(LIMIT):
                await self._round(key)
                return None
        except TimeoutError as error:
            raise TooSlow(
                f"writing took longer than {LIMIT:.0f} s", next_step="look at the API server's load"
            ) from error

    async def _round(self, key: ServiceKey) -> None:
        failure: MeshError | None = None
        try:
            ports = await self._ports(key)
        except MeshError as error:
            # Ports that cannot be had must not keep the others, and our own pods, from being followed.
            ports, failure = self._held(key), error
        view = self._look.import_view(
            key, ports=ports, claims=self._book.claims, reuse_ips=key not in self._lost_ips
        )
        plan = plan_import(view, now=self._clock())
        self._say_obstacle(key)
        try:
            self._echoes.wrote(key, await self._writer.write(plan))
        except ApiError as error:
            if error.status == 422 and _asks_for_an_ip(plan):
                self._note_refused_ip(key)
            raise
        if not plan:
            self._lost_ips.discard(key)
            self._refused_ips.pop(key, None)
        if failure is not None:
            raise failure

    def _note_refused_ip(self, key: ServiceKey) -> None:
        """The IP that the ServiceImport states was refused: when that lasts, a new one must do.

        The API server tells of a deleted Service before it has freed its IP, so the first refusals may
        only mean that we were quick.
        """
        now = self._clock()
        if now - self._refused_ips.setdefault(key, now) > PATIENCE:
            self._lost_ips.add(key)

    def _held(self, key: ServiceKey) -> dict[str, int]:
        """The egress ports that the import has already, by port name."""
        merged = merge(self._look.records(key))
        if merged is None:
            return {}
        targets = targets_of(key, names=remote_port_names(merged, cluster=self._look.cluster))
        held = {target.port_name: self._book.claims.port_of(target) for target in targets}
        return {name: port for name, port in held.items() if port is not None}

    async def _ports(self, key: ServiceKey) -> dict[str, int]:
        """The egress ports of the import by port name, granted now where there was none."""
        namespace, _name = key
        merged = merge(self._look.records(key))
        if merged is None or not is_open(self._caches.namespaces.get(namespace)):
            return {}
        names = remote_port_names(merged, cluster=self._look.cluster)
        held = await self._book.hold(targets_of(key, names=names))
        return {target.port_name: port for target, port in held.items()}

    def _say_obstacle(self, key: ServiceKey) -> None:
        """Log somebody's own object in our way, once."""
        obstacle = self._look.obstacle(key)
        if obstacle and self._obstacles.get(key) != obstacle:
            _log.warning("an import is blocked", namespace=key[0], name=key[1], why=obstacle)
            self._obstacles[key] = obstacle
        elif not obstacle:
            self._obstacles.pop(key, None)


def _asks_for_an_ip(plan: Plan) -> bool:
    return any(
        isinstance(step, Create) and step.kind is Kind.SERVICE and "clusterIP" in step.body["spec"]
        for step in plan
    )

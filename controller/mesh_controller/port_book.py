"""Who holds which egress port: the claims in the slices, and the notes in one ConfigMap.

The rules are `mesh_core.ports`. Here they meet the API server:

1. A note is written with the resourceVersion that was read, before what it announces is done. Whoever
   was slower reads again and thinks again: so no port is granted twice, whatever the caches lag.
2. A claim that goes without a note, because somebody deleted a slice or a namespace, is noted with the
   next write, and meanwhile kept in mind.
3. What follows a note has to follow within `mesh_controller.import_loop.LIMIT`: a leader that was frozen
   in between must ask anew.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mesh_controller.caches import Caches, ServiceKey
from mesh_core.errors import MeshError
from mesh_core.names import EGRESS_PORTS, RESTING_PORTS_CONFIG_MAP, SYSTEM_NAMESPACE
from mesh_core.objects import ConfigMap, EndpointSlice
from mesh_core.port_wear import PortWear, peer_of_slice
from mesh_core.ports import (
    ClaimTable,
    Note,
    Notes,
    PortsExhausted,
    PortTarget,
    claims_of,
    grant,
    rest,
)
from mesh_runtime.clock import Clock
from mesh_runtime.kube import CONFIG_MAPS, ApiError, KubeClient
from mesh_runtime.log import logger

_log = logger(__name__)

_MOST_TRIES = 5


class TryAgain(MeshError):
    """Whoever wrote for several at once was stopped."""

    def __init__(self) -> None:
        super().__init__("a note about ports was not written", next_step="nothing: it is tried again")


@dataclass(slots=True)
class _Change:
    """What somebody wants of the notes: ports for `targets`, rest for `freed`; `done` tells how it went."""

    done: asyncio.Future[None]
    targets: tuple[PortTarget, ...] = ()
    freed: Mapping[int, PortTarget] = field(default_factory=dict)
    ports: Mapping[PortTarget, int] = field(default_factory=dict)
    failed: MeshError | None = None

    def end(self, error: MeshError | None) -> None:
        """Tell how it went, unless nobody waits any more."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class PortBook:
    """Grants ports and sends them to rest; make it before the caches run.

    `contested` is called for imports whose port is not theirs.
    """

    def __init__(
        self,
        kube: KubeClient,
        *,
        caches: Caches,
        cluster: str,
        clock: Clock,
        contested: Callable[[ServiceKey], None],
    ) -> None:
        self.claims = ClaimTable()
        self._kube = kube
        self._caches = caches
        self._cluster = cluster
        self._clock = clock
        self._contested = contested
        self._vanished: dict[int, Note] = {}
        self._wear = PortWear()
        self._written: ConfigMap | None = None
        self._turn = asyncio.Lock()
        self._changes: list[_Change] = []
        caches.slices.follow(self._follow)

    @property
    def is_roomy(self) -> bool:
        """Whether more than half of all egress ports are neither claimed nor at rest."""
        notes = self._written or self._caches.port_notes.get(
            RESTING_PORTS_CONFIG_MAP, namespace=SYSTEM_NAMESPACE
        )
        taken = self.claims.ports() | {int(key) for key in (notes.data if notes else {}) if key.isdigit()}
        return 2 * len(taken) < len(EGRESS_PORTS)

    def is_worn_by(self, peer: str) -> bool:
        """Whether the peer holds, or has left at rest, as many ports as one peer may."""
        return bool(peer) and self._wear.is_full(peer, now=self._now())

    async def hold(self, targets: Iterable[PortTarget]) -> dict[PortTarget, int]:
        """The ports of `targets`; those that had none have one now, and it is noted.

        Raises PortsExhausted, ApiError and Unreachable.
        """
        held = {target: self.claims.port_of(target) for target in targets}
        ports = {target: port for target, port in held.items() if port is not None}
        lacking = tuple(target for target in held if target not in ports)
        if not lacking:
            return ports
        change = _Change(asyncio.get_running_loop().create_future(), targets=lacking)
        await self._make(change)
        return {**ports, **change.ports}

    async def rest(self, freed: Mapping[int, PortTarget]) -> None:
        """Note that these ports go to rest; raises ApiError and Unreachable."""
        await self._make(_Change(asyncio.get_running_loop().create_future(), freed=freed))

    async def _make(self, change: _Change) -> None:
        """Change the notes; whoever comes while a write is under way shares the next one."""
        self._changes.append(change)
        try:
            async with self._turn:
                if not change.done.done():
                    together, self._changes = self._changes, []
                    await self._change_together(together)
            await change.done
        except asyncio.CancelledError:
            change.done.cancel()
            raise

    async def _change_together(self, changes: Sequence["_Change"]) -> None:
        """Write all `changes`, and tell everybody how it went."""
        failure: MeshError | None = TryAgain()
        try:
            await self._write_once(changes)
            failure = None
        except MeshError as error:
            failure = error
        finally:
            for change in changes:
                change.end(failure or change.failed)

    async def _write_once(self, changes: Sequence["_Change"]) -> None:
        """Read the notes, think, and write; again when somebody else wrote meanwhile."""
        for attempt in range(1, _MOST_TRIES + 1):
            seen = await self._newest(fresh=attempt > 1)
            before, vanished = _notes_in(seen), dict(self._vanished)
            after = self._thought(changes, notes=_newer(before, vanished))
            try:
                self._written = await self._write(seen, before=before, after=after)
                break
            except ApiError as error:
                # Not found: somebody deleted the notes; a fresh look makes them anew.
                self._written = None
                if not (error.is_conflict or error.is_not_found) or attempt == _MOST_TRIES:
                    raise
        for port, note in vanished.items():
            if self._vanished.get(port) is note:
                del self._vanished[port]

    def _thought(self, changes: Sequence[_Change], *, notes: Notes) -> Notes:
        """The notes after `changes`; who cannot have a port is told why, and keeps nobody else from his."""
        for change in changes:
            change.failed = None
            if change.freed:
                notes = rest(change.freed, notes=notes, now=self._now())
        try:
            return self._granted(changes, notes=notes)
        except PortsExhausted:
            for change in changes:
                try:
                    notes = self._granted([change], notes=notes)
                except PortsExhausted as error:
                    change.failed = error
            return notes

    def _granted(self, changes: Sequence[_Change], *, notes: Notes) -> Notes:
        wanted = [target for change in changes for target in change.targets]
        granted = grant(wanted, table=self.claims, notes=notes, now=self._now())
        for change in changes:
            change.ports = {target: granted.ports[target] for target in change.targets}
        return granted.notes

    async def _newest(self, *, fresh: bool) -> ConfigMap | None:
        """The ConfigMap as we wrote it last, or as it is cached; an old one is found out by the write."""
        name = RESTING_PORTS_CONFIG_MAP
        if fresh:
            return await self._kube.find(CONFIG_MAPS, name, namespace=SYSTEM_NAMESPACE)
        return self._written or self._caches.port_notes.get(name, namespace=SYSTEM_NAMESPACE)

    async def _write(self, seen: ConfigMap | None, *, before: Notes, after: Notes) -> ConfigMap:
        texts = {str(port): _text(note) for port, note in after.items() if before.get(port) != note}
        if seen is None:
            metadata = {"name": RESTING_PORTS_CONFIG_MAP, "namespace": SYSTEM_NAMESPACE}
            return await self._kube.create(CONFIG_MAPS, {"metadata": metadata, "data": texts})
        known = set(seen.data)
        data: dict[str, Any] = {key: None for key in known if not key.isdigit() or int(key) not in after}
        return await self._kube.merge_patch(
            CONFIG_MAPS,
            RESTING_PORTS_CONFIG_MAP,
            {"metadata": {"resourceVersion": seen.metadata.resource_version}, "data": {**data, **texts}},
            namespace=SYSTEM_NAMESPACE,
        )

    def _follow(self, key: tuple[str, str], old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        """Keep the claims; remember those that went, and tell those whose port is not rightfully theirs."""
        before = claims_of(old, cluster=self._cluster) if old is not None else ()
        after = claims_of(new, cluster=self._cluster) if new is not None else ()
        self.claims.change(key, claims=after)
        for piece, gone, come in ((old, before, ()), (new, (), after)):
            peer = peer_of_slice(piece) if piece is not None else ""
            if peer:
                was, now = [claim.port for claim in gone], [claim.port for claim in come]
                self._wear.change(peer, before=was, after=now, now=self._now())
        for claim in before:
            if not self.claims.claimants(claim.port):
                self._vanished[claim.port] = Note(claim.target.token, self._now())
        for claim in after:
            self._vanished.pop(claim.port, None)
            claimants = self.claims.claimants(claim.port)
            for target in sorted(claimants) if len(claimants) > 1 else ():
                if self.claims.port_of(target) != claim.port:
                    _log.warning("an egress port is claimed twice", port=claim.port, newer=str(target))
                    self._contested((target.namespace, target.service))

    def _now(self) -> float:
        return self._clock().timestamp()


def _newer(first: Notes, second: Notes) -> Notes:
    """Both, and for a port in both the later note: an old one must not hide that the port is free again."""
    both = dict(first)
    for port, note in second.items():
        if port not in both or both[port].at < note.at:
            both[port] = note
    return both


def _notes_in(seen: ConfigMap | None) -> dict[int, Note]:
    """The notes that can be read; others were written by somebody's hand and are dropped."""
    notes: dict[int, Note] = {}
    for key, text in (seen.data if seen is not None else {}).items():
        at, _, holder = text.partition(" ")
        try:
            notes[int(key)] = Note(holder, float(at))
        except ValueError:
            _log.warning("a note about a port does not read and is dropped", port=key)
    return notes


def _text(note: Note) -> str:
    """When, and for whom: short, because thousands of them share the 1 MiB of a ConfigMap."""
    return f"{note.at:.3f} {note.holder}"

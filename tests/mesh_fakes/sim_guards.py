"""What must hold at every moment of a history, whatever happens; each cluster's API server is listened to.

1. No egress port is claimed for two targets.
2. What users made is not written, but for the status of their exports and peers.
3. No slice is written without endpoints unless the cluster has no gateway.
4. A record of a peer goes only when the peer did not export it at some time of late, or when this cluster
   takes it no more.
"""

from dataclasses import dataclass, field

import msgspec

from mesh_core.export import decide, is_exported
from mesh_core.export_record import Exporter
from mesh_core.names import GATEWAY, LABEL_KUBERNETES_SERVICE, LABEL_SLICE_MANAGED_BY, MANAGER
from mesh_core.objects import EndpointSlice
from mesh_core.ports import ClaimTable, claims_of
from mesh_fakes.api_server import Item, _Target
from mesh_fakes.sim_api import CONTROLLER
from mesh_fakes.sim_member import SimMember
from mesh_fakes.sim_picture import is_of_users
from mesh_fakes.sim_world import World
from mesh_runtime.kube import SERVICE_EXPORTS, SERVICES

_OF_LATE = 30.0
"""Seconds; nothing that a cache or a line brings is older."""
_NEVER = -1e9


class Broken(AssertionError):
    """One of the laws above."""


@dataclass
class Guard:
    """Listens to one cluster; `found` is what it has to say."""

    member: SimMember
    world: World
    others: dict[str, "Guard"]
    found: list[str] = field(default_factory=list)
    _table: ClaimTable = field(default_factory=ClaimTable)
    _absent: dict[tuple[str, str], float] = field(default_factory=dict)
    _exported: set[tuple[str, str]] = field(default_factory=set)
    _born: dict[str, float] = field(default_factory=dict)
    _no_gateway: float = _NEVER
    _has_gateway: bool = False
    _changed_mind: float = _NEVER

    def __post_init__(self) -> None:
        """What is exported now is taken to have always been."""
        keys = (export.key for export in self.member.api.all(SERVICE_EXPORTS))
        self._exported = {key for key in keys if self._exports(key)}
        self._has_gateway = True

    def hear(self, who: str, target: _Target, before: Item | None, after: Item | None) -> None:
        """One change."""
        kind = target.collection.rpartition("/")[2]
        if who == CONTROLLER:
            self._check_owner(target, before=before, after=after)
        match kind:
            case "endpointslices":
                self._hear_slice(who, target, after=after)
            case "serviceexports" | "services":
                self._hear_export((target.namespace, target.name))
            case "importedrecords":
                self._hear_record(who, target, before=before, after=after)
            case "meshpeers" | "clusterproperties" if who != CONTROLLER:
                self._changed_mind = self._now()

    def raise_found(self) -> None:
        """Say what was found."""
        if self.found:
            raise Broken("; ".join(self.found))

    def was_absent(self, key: tuple[str, str], *, since: float) -> bool:
        """Whether this cluster did not export `key` at some time after `since`."""
        return key not in self._exported or self._absent.get(key, _NEVER) >= since

    def _check_owner(self, target: _Target, *, before: Item | None, after: Item | None) -> None:
        if before is None or not is_of_users(target.key, before):
            return
        if after is None or _without_status(before) != _without_status(after):
            self._complain(f"wrote what a user made: {target.key}")

    def _hear_slice(self, who: str, target: _Target, *, after: Item | None) -> None:
        key = (target.namespace, target.name)
        if target.name.startswith(GATEWAY):
            self._has_gateway = bool(after and after.get("endpoints"))
        if not self._has_gateway:
            self._no_gateway = self._now()
        piece = msgspec.convert(after, EndpointSlice) if after is not None else None
        claims = claims_of(piece, cluster=self.member.name) if piece is not None else ()
        self._table.change(key, claims=claims)
        for port in {claim.port for claim in claims} & self._table.contested():
            self._complain(f"port {port} is claimed for {sorted(map(str, self._table.claimants(port)))}")
        if who != CONTROLLER or piece is None or piece.endpoints:
            return
        if piece.metadata.labels.get(LABEL_SLICE_MANAGED_BY) == MANAGER:
            if self._has_gateway and self._now() - self._no_gateway > _OF_LATE:
                service = piece.metadata.labels.get(LABEL_KUBERNETES_SERVICE, "")
                self._complain(f"emptied the slice {key} of {service}")

    def _hear_export(self, key: tuple[str, str]) -> None:
        was, now = key in self._exported, self._exports(key)
        if not (was and now):
            self._absent[key] = self._now()
        (self._exported.add if now else self._exported.discard)(key)

    def _exports(self, key: tuple[str, str]) -> bool:
        namespace, name = key
        export = self.member.api.find(SERVICE_EXPORTS, name, namespace=namespace)
        if export is None or not is_exported(export):
            return False
        service = self.member.api.find(SERVICES, name, namespace=namespace)
        exporter = Exporter(cluster=self.member.name)
        return decide(export, service=service, chunks=(), exporter=exporter).record is not None

    def _hear_record(self, who: str, target: _Target, *, before: Item | None, after: Item | None) -> None:
        if after is not None:
            self._born.setdefault(target.name, self._now())
            return
        born = self._born.pop(target.name, self._now())
        if who != CONTROLLER or before is None:
            return
        spec = before["spec"]
        key, since = (spec["namespace"], spec["name"]), born - _OF_LATE
        if not self.others[spec["cluster"]].was_absent(key, since=since) and self._changed_mind < since:
            self._complain(f"deleted the record {target.name}, which its cluster exported all the time")

    def _complain(self, what: str) -> None:
        self.found.append(f"{self.member.name} at {self._now():.3f}: {what}")

    def _now(self) -> float:
        return self.world.network.loop.time()


def guard(world: World) -> None:
    """Listen to every cluster from now on."""
    guards: dict[str, Guard] = {}
    for name, member in world.members.items():
        guards[name] = Guard(member, world, guards)
        member.api.heard.append(guards[name].hear)
        world.watchers.append(guards[name].raise_found)


def _without_status(item: Item) -> Item:
    meta = {name: part for name, part in item["metadata"].items() if name != "resourceVersion"}
    return {**{name: part for name, part in item.items() if name != "status"}, "metadata": meta}

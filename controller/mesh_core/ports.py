"""Egress ports: which port of the local gateways stands for which port of an imported service.

Laws:

1. The claim on a port lies in the EndpointSlices that name it. `rightful_claims` says whose a port is
   when two name it: the older claim serves, by creationTimestamp of the slice, then by its UID. Gateway
   and controller ask the same function; the controller then moves the newer claim.
2. A port that changes hands, by being granted or freed, is noted first (`Notes`, kept in a ConfigMap
   that is written with its resourceVersion) and the note lasts `REST` seconds. Nobody else gets the
   port meanwhile. So two leaders cannot grant one port, and a kube-proxy or gateway that lags by less
   than `REST` never brings a caller to a service that it did not ask for.
3. A target gets its old port back where it can: its note is honoured for itself. A new port is one of the
   lowest `WINDOW` that are free, by the target's name: so gateways can listen to it in advance (ruling 6).
4. One number is one target, whatever the protocol: TCP and UDP never share one, so that a number by itself
   says what is meant.

Writing notes and slices is the controller's; times are seconds since the epoch and are passed in.
"""

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from typing import TypeVar

from mesh_core.errors import MeshError
from mesh_core.lanes import MOST_LANES
from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    EGRESS_PORTS,
    LABEL_CLUSTER,
    LABEL_ENDPOINT,
    LABEL_LANE,
    LABEL_NAMESPACE,
    LABEL_SERVICE,
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
    SYSTEM_NAMESPACE,
)
from mesh_core.objects import EndpointSlice

K = TypeVar("K")

CARRIED_PROTOCOLS = frozenset({"TCP", "UDP"})
"""What gateways carry: each such port of an import takes an egress port."""

WINDOW = 256
"""A new port is one of so many free ones; gateways listen to twice as many in advance."""
REST = 900.0
"""Seconds for which a port that changed hands is kept from everybody else."""


class PortsExhausted(MeshError):
    """Every egress port is claimed or at rest."""

    def __init__(self) -> None:
        super().__init__(
            f"all {len(EGRESS_PORTS)} egress ports are claimed or at rest",
            next_step="unexport services that nobody uses, or wait fifteen minutes",
        )


@dataclass(frozen=True, slots=True, order=True)
class PortTarget:
    """What an egress port stands for: one port, by its name, of one imported service.

    With `cluster` and `endpoint` it is that port of one endpoint of a headless import, by its stand-in.
    `lane` tells several ports for the same thing apart: they give kube-proxy more ways to the gateways.
    """

    namespace: str
    service: str
    port_name: str
    cluster: str = ""
    endpoint: str = ""
    lane: int = 0

    @property
    def token(self) -> str:
        """Sixteen characters that tell this target from others: notes are many, and only compared."""
        return _token(str(self))

    @property
    def is_stand_in(self) -> bool:
        """Whether one endpoint is meant, not the service."""
        return bool(self.endpoint)

    def __str__(self) -> str:
        where = f"{self.endpoint}.{self.cluster}." if self.is_stand_in else ""
        lane = f"#{self.lane}" if self.lane else ""
        return f"{where}{self.namespace}/{self.service}:{self.port_name}{lane}"


@dataclass(frozen=True, slots=True)
class Claim:
    """One slice names `port` for `target`; `created` (RFC 3339) and `uid` are the slice's."""

    port: int
    target: PortTarget
    created: str
    uid: str

    @property
    def age(self) -> tuple[str, str]:
        """Sorts older claims first."""
        return self.created, self.uid


@dataclass(frozen=True, slots=True)
class Note:
    """A port changed hands `at`, in favour of or away from the target whose token is `holder`."""

    holder: str
    at: float


Notes = Mapping[int, Note]


@dataclass(frozen=True, slots=True)
class Grant:
    """Ports for the targets asked for, and the notes to be written before anybody uses them."""

    ports: Mapping[PortTarget, int]
    notes: Notes


def claims_of(piece: EndpointSlice, *, cluster: str) -> tuple[Claim, ...]:
    """The claims in one slice of ours; none in a slice of our own cluster's (`cluster`) endpoints.

    Three kinds of slices claim ports: those of another cluster's endpoints, which carry the labels of the
    MCS API; further lanes to the same; and those of stand-ins. A slice that lists addresses that are not
    our gateways' (a shared network) names ports of theirs: these are no claims.
    """
    target = _target_of(piece, cluster=cluster)
    if target is None:
        return ()
    meta = piece.metadata
    return tuple(
        Claim(
            port=port.port,
            target=replace(target, port_name=port.name or ""),
            created=meta.creation_timestamp,
            uid=meta.uid,
        )
        for port in piece.ports or ()
        if port.protocol in CARRIED_PROTOCOLS and port.port is not None and port.port in EGRESS_PORTS
    )


def _target_of(piece: EndpointSlice, *, cluster: str) -> PortTarget | None:
    """What the ports of a slice stand for, but for their names; None when they are no egress ports."""
    labels, namespace = piece.metadata.labels, piece.metadata.namespace
    if labels.get(LABEL_SLICE_MANAGED_BY) != MANAGER:
        return None
    endpoint, lane = labels.get(LABEL_ENDPOINT, ""), labels.get(LABEL_LANE, "")
    if endpoint:
        if namespace != SYSTEM_NAMESPACE or not all(labels.get(key) for key in _STAND_IN_LABELS):
            return None
        where, service, source = (labels[key] for key in _STAND_IN_LABELS)
        return PortTarget(where, service, "", cluster=source, endpoint=endpoint)
    if lane:
        service = labels.get(LABEL_SERVICE, "")
        known = service and lane in _FURTHER_LANES
        return PortTarget(namespace, service, "", lane=int(lane)) if known else None
    service, source = labels.get(LABEL_SERVICE_NAME, ""), labels.get(LABEL_SOURCE_CLUSTER, "")
    if not service or source in ("", cluster) or ANNOTATION_READY_ENDPOINTS not in piece.metadata.annotations:
        return None
    return PortTarget(namespace, service, "")


_FURTHER_LANES = frozenset(str(number) for number in range(1, MOST_LANES))
_STAND_IN_LABELS = (LABEL_NAMESPACE, LABEL_SERVICE, LABEL_CLUSTER)


def rightful_claims(claims: Iterable[Claim]) -> dict[int, PortTarget]:
    """Whose each claimed port is: the target with the oldest claim on it (law 1)."""
    oldest: dict[int, Claim] = {}
    for claim in claims:
        known = oldest.get(claim.port)
        # Two ports of one slice can claim one number only by somebody's hand: the name decides.
        if known is None or (claim.age, claim.target) < (known.age, known.target):
            oldest[claim.port] = claim
    return {port: claim.target for port, claim in oldest.items()}


@dataclass(slots=True)
class ClaimTable:
    """All claims of a cluster, kept slice by slice, so that one change costs no walk over the rest."""

    _by_slice: dict[tuple[str, str], tuple[Claim, ...]] = field(default_factory=dict)
    _by_port: dict[int, list[Claim]] = field(default_factory=dict)
    _by_target: dict[PortTarget, list[Claim]] = field(default_factory=dict)

    def change(self, key: tuple[str, str], *, claims: tuple[Claim, ...]) -> None:
        """The slice `key` now holds `claims`; none when it is gone."""
        for claim in self._by_slice.pop(key, ()):
            _drop(self._by_port, claim.port, claim)
            _drop(self._by_target, claim.target, claim)
        if claims:
            self._by_slice[key] = claims
        for claim in claims:
            self._by_port.setdefault(claim.port, []).append(claim)
            self._by_target.setdefault(claim.target, []).append(claim)

    def port_of(self, target: PortTarget) -> int | None:
        """The port that is rightfully the target's, by its oldest such claim; None when there is none."""
        claims = sorted(self._by_target.get(target, ()), key=lambda claim: (claim.age, claim.port))
        for claim in claims:
            if rightful_claims(self._by_port[claim.port])[claim.port] == target:
                return claim.port
        return None

    def claimants(self, port: int) -> frozenset[PortTarget]:
        """Everybody who claims `port`, rightfully or not."""
        return frozenset(claim.target for claim in self._by_port.get(port, ()))

    def ports(self) -> Set[int]:
        """The ports that anybody claims."""
        return self._by_port.keys()

    def contested(self) -> frozenset[int]:
        """The ports that more than one target claims."""
        return frozenset(port for port in self._by_port if len(self.claimants(port)) > 1)


def grant(targets: Iterable[PortTarget], *, table: ClaimTable, notes: Notes, now: float) -> Grant:
    """A port for each target: the one it holds, else the one noted for it, else a free one.

    `notes` are those in force, read with the version that the write will be conditional on; expired
    ones may be among them. Raises PortsExhausted.
    """
    kept = {port: note for port, note in notes.items() if note.at + REST > now}
    noted = {note.holder: port for port, note in sorted(kept.items(), reverse=True)}
    free = _Free(port for port in EGRESS_PORTS if port not in table.ports() and port not in kept)
    ports: dict[PortTarget, int] = {}
    for target in sorted(set(targets)):
        port = table.port_of(target)
        if port is None:
            port = noted.get(target.token)
            if port is None or table.claimants(port) - {target}:
                port = free.take(target)
            kept[port] = Note(target.token, now)
        ports[target] = port
    return Grant(ports=ports, notes=kept)


def rest(freed: Mapping[int, PortTarget], *, notes: Notes, now: float) -> Notes:
    """The notes when the `freed` ports go to rest at `now`; expired ones are left out."""
    kept = {port: note for port, note in notes.items() if note.at + REST > now}
    return kept | {port: Note(target.token, now) for port, target in freed.items()}


@lru_cache(maxsize=1 << 15)
def _token(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Free:
    """The free ports, given in ascending order and read as far as they are needed."""

    def __init__(self, ports: Iterable[int]) -> None:
        self._ports = iter(ports)
        self._lowest: list[int] = []

    def take(self, target: PortTarget) -> int:
        """One of the lowest `WINDOW`, which is then free no more. Raises PortsExhausted."""
        self._lowest += islice(self._ports, WINDOW - len(self._lowest))
        if not self._lowest:
            raise PortsExhausted
        # Not simply the lowest: leaders that do not see each other's grants mostly choose apart, and one
        # service seldom gets what another has just given up.
        digest = hashlib.sha256(str(target).encode()).digest()
        return self._lowest.pop(int.from_bytes(digest[:4], "big") % len(self._lowest))


def _drop(members: dict[K, list[Claim]], key: K, claim: Claim) -> None:
    members[key].remove(claim)
    if not members[key]:
        del members[key]

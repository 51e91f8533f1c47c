"""Snapshots for the placement benchmark: a fleet of so many clusters, and placements of three kinds. Pure.

Each cluster has eight sizes of nodes, six properties and links to five exporters; two services are called
with a budget. The same number gives the same snapshot, the next one another.
"""

import hashlib

from msgspec.structs import replace

from mesh_placement.decide.shapes import FreeShape
from mesh_placement.objects.placing import (
    ClusterChoice,
    PlacementSpec,
    PropertyTerm,
    Replicas,
    Require,
    ServiceNeed,
    SpreadTerm,
)
from mesh_placement.schedule.snapshot import (
    Cluster,
    Demand,
    Export,
    Link,
    Reservation,
    Room,
    SetView,
    Share,
    Snapshot,
    Wanted,
)

KINDS = ("few", "divided", "everywhere")
"""Two clusters of all; twelve replicas divided by latency among at most five; one in every cluster."""

_NOW = 1_000_000.0
_EXPORTERS = 5
_REGIONS = ("eu-1", "eu-2", "us-1", "ap-1")
_SERVICES = ("shop/payments", "shop/stock")


def scene(clusters: int, *, placements: int, number: int) -> Snapshot:
    """A fleet in which `placements` of each kind are new, and as many of each kind are there already."""
    names = [f"cluster-{at:05}" for at in range(clusters)]
    exporters = names[:: max(1, clusters // _EXPORTERS)][:_EXPORTERS]
    wanted = [
        _wanted(kind, at, names if there else [], number)
        for kind in KINDS
        for at in range(placements)
        for there in (False, True)
    ]
    return Snapshot(
        now=_NOW,
        sets=(SetView("prod"),),
        clusters=tuple(_cluster(name, number) for name in names),
        links=tuple(
            _link(source, target, number) for source in names for target in exporters if source != target
        ),
        exports=tuple(Export(name, service, ready=4) for service in _SERVICES for name in exporters),
        placements=tuple(sorted(wanted, key=lambda one: one.name)),
        reservations=tuple(
            Reservation("shop/other", name, 1, {"cpu": 500}, 2, _NOW + 60) for name in names[::10]
        ),
    )


def with_rows_of(other: Snapshot, number: int, snapshot: Snapshot) -> Snapshot:
    """The snapshot with the rows that another one of the same size has of one cluster."""
    name = snapshot.clusters[number].name
    return replace(
        snapshot,
        clusters=(*snapshot.clusters[:number], other.clusters[number], *snapshot.clusters[number + 1 :]),
        links=tuple(
            theirs if ours.source == name else ours
            for ours, theirs in zip(snapshot.links, other.links, strict=True)
        ),
    )


def new_ones(kind: str, placements: int) -> list[str]:
    """The names of those that nobody has decided yet."""
    return [f"shop/{kind}-new-{at}" for at in range(placements)]


def old_ones(kind: str, placements: int) -> list[str]:
    """The names of those that run."""
    return [f"shop/{kind}-old-{at}" for at in range(placements)]


def _cluster(name: str, number: int) -> Cluster:
    shapes = tuple(
        FreeShape(
            1 + _some(name, f"count{at}", number) % 9,
            {"cpu": 1000 * at, "memory": 4096 * at + 512, "pods": 40_000},
        )
        for at in range(1, 9)
    )
    nodes = sum(one.count for one in shapes)
    available = {key: sum(one.count * one.free[key] for one in shapes) for key in ("cpu", "memory", "pods")}
    total = {key: 2 * amount for key, amount in available.items()}
    continuous = {"cpu": 8000, "memory": 4096 * 8 + 512, "pods": 40_000}
    return Cluster(
        name,
        "prod",
        properties={
            "region.topology.meshctl.dev": _REGIONS[_some(name, "region", number) % len(_REGIONS)],
            "cost.topology.meshctl.dev": str(1 + _some(name, "cost", number) % 9),
            "site": "onprem" if _some(name, "site", number) % 2 else "cloud",
            "vendor": "a",
            "version": "1.34",
            "arch": "amd64",
        },
        apis=("v1", "apps/v1", "batch/v1", "networking.k8s.io/v1"),
        namespaces=("default", "kube-system", "shop"),
        storage_classes=("standard",),
        room=Room(total, available, continuous, shapes, nodes, 30 * nodes),
    )


def _link(source: str, target: str, number: int) -> Link:
    rtt = 1.0 + _some(source, target, number) % 120
    return Link(source, target, "Up", ewma=rtt, p50=rtt, p99=2 * rtt, headroom=0.7)


def _wanted(kind: str, at: int, names: list[str], number: int) -> Wanted:
    name = f"shop/{kind}-{'old' if names else 'new'}-{at}"
    here = names if kind == "everywhere" else names[at % 7 :: max(1, len(names) // 2)][:2]
    each = 1 if kind == "everywhere" else (6 if kind == "divided" else 2)
    current = tuple(Share(one, each, each, _NOW - 9999, True) for one in here)
    count = {"few": 2, "divided": 5, "everywhere": None}[kind]
    return Wanted(
        name,
        uid=f"{number}-{name}",
        spec=PlacementSpec(
            cluster_sets=("prod",),
            clusters=ClusterChoice(count=count),
            require=_require(kind),
            prefer={"Cost": 1},
            replicas=Replicas(policy="Divide" if kind == "divided" else "Duplicate", by="Nearest"),
        ),
        demand=Demand(
            replicas=12 if kind == "divided" else each,
            request={"cpu": 500, "memory": 512, "pods": 1000},
            apis=("apps/v1", "v1"),
            namespaces=("shop",),
        ),
        decided_generation=1 if names else 0,
        current=current,
    )


def _require(kind: str) -> Require:
    spread = SpreadTerm(property="region.topology.meshctl.dev", when_unsatisfiable="ScheduleAnyway")
    regions = PropertyTerm(name="region.topology.meshctl.dev", operator="In", values=_REGIONS)
    needs = tuple(
        ServiceNeed(name=service.partition("/")[2], max_rtt="150ms", min_exporters=2) for service in _SERVICES
    )
    return Require(properties=(regions,), services=needs, spread=(spread,) if kind == "divided" else ())


def _some(one: str, other: str, number: int) -> int:
    """A number that looks like chance."""
    return int.from_bytes(hashlib.blake2b(f"{one}|{other}|{number}".encode(), digest_size=4).digest())

"""Random snapshots: every field that a decision reads is set to something, and rarely to nothing at all.

The same seed gives the same snapshot. Sizes are small: what matters is which rules meet, not how often.
"""

from random import Random

from mesh_placement.decide.shapes import FreeShape
from mesh_placement.names import TAINT_UNREACHABLE
from mesh_placement.objects.ours import Effect, LinkState, Phase
from mesh_placement.objects.placing import (
    ClusterChoice,
    ClusterShare,
    DivideBy,
    Exposure,
    Failover,
    PlacementSpec,
    PriorityRule,
    PropertyMatch,
    PropertyTerm,
    Purge,
    RebalanceRule,
    Replicas,
    Require,
    ServiceNeed,
    SpreadTerm,
    Toleration,
    Unsatisfiable,
    WorkloadTerm,
)
from mesh_placement.schedule.snapshot import (
    Cluster,
    Demand,
    Export,
    HeldTaint,
    Link,
    Room,
    SetView,
    Share,
    Snapshot,
    Standing,
    Wanted,
)

NOW = 1_000_000.0
REGIONS = ("eu", "us", "ap")
SITES = ("onprem", "cloud")
SERVICES = ("shop/pay", "shop/cart")
REGION, SITE, COST = "region.topology.meshctl.dev", "site", "cost.topology.meshctl.dev"

_PHASES: tuple[Phase, ...] = (*("Ready",) * 20, "Suspect", "Unreachable", "Available")
_HARD_OR_SOFT: tuple[Unsatisfiable, ...] = ("DoNotSchedule", "ScheduleAnyway")
_STANDINGS: tuple[Standing, ...] = (
    *("Ok",) * 40,
    "ControlPartition",
    "Dead",
    "DataPlaneDown",
    "ApiDown",
    "DependencyLost",
    "Unwitnessed",
    "HubIsolated",
)
_EFFECTS: tuple[Effect, ...] = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_STATES: tuple[LinkState, ...] = ("Up", "Up", "Up", "Degraded", "Down", "Unknown")
_PURGES: tuple[Purge, ...] = ("WhenReplacementVerified", "WhenReplacementVerified", "Immediately", "Never")
DIVISIONS: tuple[DivideBy, ...] = ("Even", "Weighted", "Available", "Pack", "Nearest")


def random_snapshot(seed: int, *, most_clusters: int = 8, most_placements: int = 6) -> Snapshot:
    """One of everything, in the order of names."""
    dice = Random(seed)
    names = [f"c{number}" for number in range(dice.randint(1, most_clusters))]
    clusters = tuple(_cluster(dice, name) for name in names)
    placements = tuple(
        _placement(dice, f"shop/p{number}", names) for number in range(dice.randint(1, most_placements))
    )
    return Snapshot(
        now=NOW,
        sets=(SetView("other"), SetView("prod", namespaces=dice.choice((None, ("shop",))))),
        clusters=clusters,
        links=_links(dice, names),
        exports=tuple(_export(dice, name, service) for service in SERVICES for name in _some(dice, names)),
        placements=placements,
    )


def room(free: list[int], *, gpus: int = 0, fresh: bool = True) -> Room:
    """Nodes of so many cpus each, all free, with two GiB and twenty pods for each cpu."""
    shapes = tuple(
        FreeShape(1, {"cpu": cpu * 1000, "memory": cpu * 2048, "pods": 20_000}, "") for cpu in free
    )
    sums = {"cpu": sum(free) * 1000, "memory": sum(free) * 2048, "pods": len(free) * 20_000}
    sums |= {"example.com/gpu": gpus * 1000} if gpus else {}
    most = {"cpu": max(free, default=0) * 1000, "memory": max(free, default=0) * 2048, "pods": 20_000}
    return Room({name: 2 * amount for name, amount in sums.items()}, sums, most, shapes, len(free), 0, fresh)


def _cluster(dice: Random, name: str) -> Cluster:
    taints = tuple(
        HeldTaint(key, dice.choice(_EFFECTS), since=NOW - dice.randrange(600))
        for key in ("dirty", TAINT_UNREACHABLE)
        if dice.random() < 0.1
    )
    properties = {REGION: dice.choice(REGIONS), SITE: dice.choice(SITES), COST: str(dice.randrange(1, 9))}
    return Cluster(
        name,
        cluster_set="other" if dice.random() < 0.05 else "prod",
        phase=dice.choice(_PHASES),
        accepted=dice.random() > 0.03,
        taints=taints,
        properties={key: value for key, value in properties.items() if dice.random() > 0.05},
        apis=("apps/v1", "v1"),
        room=None if dice.random() < 0.05 else room([dice.randrange(9) for _ in range(dice.randint(1, 4))]),
        standing=dice.choice(_STANDINGS),
        stable_since=dice.choice((0.0, NOW - 30, None)),
    )


def _links(dice: Random, names: list[str]) -> tuple[Link, ...]:
    found = []
    for source in names:
        for target in names:
            if source != target and dice.random() > 0.1:
                rtt = None if dice.random() < 0.1 else dice.choice((1.0, 10.0, 35.0, 60.0, 200.0))
                state, fresh = dice.choice(_STATES), dice.random() > 0.1
                found.append(Link(source, target, state, fresh, rtt, rtt, rtt, headroom=dice.random()))
    return tuple(found)


def _export(dice: Random, name: str, service: str) -> Export:
    return Export(name, service, ready=dice.randrange(5), is_fresh=dice.random() > 0.1)


def _placement(dice: Random, name: str, clusters: list[str]) -> Wanted:
    counted = dice.random() > 0.1
    demand = Demand(
        replicas=dice.randrange(1, 9) if counted else None,
        request={"cpu": dice.choice((250, 1000, 3000)), "memory": dice.choice((256, 2048))}
        if counted
        else {},
        apis=("apps/v1",),
        exports=tuple(service for service in SERVICES if dice.random() < 0.15),
    )
    current = tuple(
        Share(
            cluster,
            dice.randrange(1, 5) if counted else None,
            ready=dice.randrange(5),
            since=NOW - dice.randrange(2000),
            verified=dice.choice((None, True, True, False)),
        )
        for cluster in (_some(dice, clusters) if dice.random() < 0.5 else ())
    )
    return Wanted(
        name,
        uid=f"{dice.getrandbits(64):x}",
        spec=_spec(dice, clusters),
        demand=demand,
        generation=2,
        decided_generation=dice.choice((1, 2, 2)) if current else 0,
        revision=4 if current else 0,
        priority=dice.choice((0, 0, 10, 1000)),
        created=NOW - dice.randrange(10_000),
        current=current,
    )


def _spec(dice: Random, clusters: list[str]) -> PlacementSpec:
    return PlacementSpec(
        cluster_sets=("prod",),
        clusters=ClusterChoice(
            count=dice.choice((None, 1, 2, 3)),
            min=dice.choice((1, 1, 2)),
            exclude=tuple(dice.sample(clusters, 1)) if dice.random() < 0.1 else (),
        ),
        tiers=tuple(PropertyMatch(match_properties={SITE: site}) for site in SITES)
        if dice.random() < 0.2
        else (),
        require=_require(dice),
        prefer={"Cost": 2, "Latency": dice.randrange(4)} if dice.random() < 0.5 else {},
        replicas=Replicas(
            policy=dice.choice(("Divide", "Divide", "Duplicate")),
            by=dice.choice(DIVISIONS),
            count=dice.choice((None, dice.randrange(12))),
            per_cluster={"*": ClusterShare(max=dice.choice((None, 3)))} if dice.random() < 0.3 else {},
            rebalance=RebalanceRule(mode=dice.choice(("Never", "OnDrift"))),
        ),
        priority=PriorityRule(preemption=dice.choice(("Never", "LowerPriority"))),
        failover=Failover(purge=dice.choice(_PURGES)),
    )


def _require(dice: Random) -> Require:
    def sometimes() -> bool:
        return dice.random() < 0.2

    hard = dice.choice(_HARD_OR_SOFT)
    services = tuple(
        ServiceNeed(
            name=service.partition("/")[2],
            max_rtt=dice.choice(("", "40ms", "100ms")),
            unknown=dice.choice(("Hold", "Allow", "Reject")),
        )
        for service in SERVICES
        if sometimes()
    )
    return Require(
        properties=(PropertyTerm(name=REGION, operator="In", values=("eu", "us")),) if sometimes() else (),
        tolerations=(Toleration(key="dirty", seconds=300),) if sometimes() else (),
        workloads=(WorkloadTerm(placement="p0", affinity=dice.choice(("With", "Away"))),)
        if sometimes()
        else (),
        spread=_spread(dice, hard) if sometimes() else (),
        services=services,
        exposes=(Exposure(service="pay", max_rtt="80ms"),) if dice.random() < 0.05 else (),
    )


def _spread(dice: Random, hard: Unsatisfiable) -> tuple[SpreadTerm, ...]:
    one = SpreadTerm(property=REGION, max_skew=dice.randint(1, 2), when_unsatisfiable=hard)
    other = SpreadTerm(property=SITE, max_skew=dice.randint(1, 2), when_unsatisfiable="DoNotSchedule")
    return (one, other) if dice.random() < 0.5 else (one,)


def _some(dice: Random, names: list[str]) -> list[str]:
    return sorted(dice.sample(names, dice.randint(1, min(3, len(names)))))

"""Snapshots for what placement knows of the network: clusters, links and exports in a line each."""

from collections.abc import Iterable

from msgspec import structs

from mesh_placement.objects.placing import ClusterChoice, Exposure, PlacementSpec, Require, ServiceNeed
from mesh_placement.schedule.snapshot import Cluster, Demand, Export, Link, SetView, Share, Snapshot, Wanted

NOW = 1_000_000.0
SET = "prod"
PAY = "shop/payments"


def cluster(name: str, *, cluster_set: str = SET, **properties: str) -> Cluster:
    """A cluster that is well."""
    return Cluster(name=name, cluster_set=cluster_set, properties=properties)


def link(way: str, rtt: float | None = None) -> Link:
    """ "a->b" Up, with the same round trip in all percentiles."""
    source, _, target = way.partition("->")
    return Link(source=source, target=target, state="Up", ewma=rtt, p50=rtt, p99=rtt)


def both_ways(one: str, other: str, rtt: float) -> tuple[Link, Link]:
    """Two clusters that reach each other."""
    return link(f"{one}->{other}", rtt), link(f"{other}->{one}", rtt)


def export(cluster: str, ready: int = 2, service: str = PAY) -> Export:
    """A row of an export."""
    return Export(cluster=cluster, service=service, ready=ready)


def placement(
    name: str = "shop/checkout",
    *,
    needs: Iterable[ServiceNeed] = (),
    exposes: Iterable[Exposure] = (),
    exports: tuple[str, ...] = (),
    present: Iterable[str] = (),
    replicas: int | None = None,
) -> Wanted:
    """A placement into `SET`."""
    return Wanted(
        name=name,
        uid=f"uid-{name}",
        spec=PlacementSpec(
            cluster_sets=(SET,),
            clusters=ClusterChoice(count=1),
            require=Require(services=tuple(needs), exposes=tuple(exposes)),
        ),
        demand=Demand(replicas=replicas, exports=exports),
        current=tuple(Share(cluster=one, since=NOW - 3600, verified=True) for one in present),
    )


def snapshot(
    names: Iterable[str | Cluster],
    *,
    links: Iterable[Link] = (),
    exports: Iterable[Export] = (),
    placements: Iterable[Wanted] = (),
    sets: tuple[SetView, ...] = (SetView(name=SET),),
) -> Snapshot:
    """With its rows in order."""
    clusters = [cluster(one) if isinstance(one, str) else one for one in names]
    return Snapshot(
        now=NOW,
        sets=sets,
        clusters=tuple(sorted(clusters, key=lambda one: one.name)),
        links=tuple(sorted(links, key=lambda one: (one.source, one.target))),
        exports=tuple(sorted(exports, key=lambda one: (one.cluster, one.service))),
        placements=tuple(sorted(placements, key=lambda one: one.name)),
    )


def unfresh(row: Link) -> Link:
    """The same row, too old."""
    return structs.replace(row, is_fresh=False)

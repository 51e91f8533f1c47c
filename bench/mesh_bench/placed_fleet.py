"""What the hub of the placement benchmark is given, and what it took to place it. Pure.

Members are rows that nobody runs: each is ready, with one large node. A placement is a Deployment for two
clusters, and no two are for the same reason in the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mesh_bench.figures import Figure, Row
from mesh_placement.names import CAPACITY, cluster_namespace

CLUSTER_SET = "prod"
NAMESPACE = "shop"
COPIES = 2
"""Clusters of each placement."""

_ROOM = {"cpu": "512", "memory": "2048Gi", "pods": "5000"}
_REGIONS = ("eu-1", "eu-2", "us-1", "ap-1")

# Any: JSON.
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """Seconds from the first request until the last Assignment is there (`whole`), until the last Placement
    was created (`created`), from each one's own request to its Assignments (`each`), and of this process's
    CPU. `missing` have not all of theirs."""

    clusters: int
    placements: int
    whole: float
    created: float
    each: tuple[float, ...]
    cpu: float
    missing: int = 0


def names(clusters: int) -> list[str]:
    """Of the members."""
    return [f"m{at:04}" for at in range(clusters)]


def namespaces(clusters: int) -> list[str]:
    """All that have to be there first."""
    return [NAMESPACE, *map(cluster_namespace, names(clusters))]


def registration(name: str, number: int) -> Json:
    """An accepted member; its status is written apart."""
    region = {"name": "region.topology.meshctl.dev", "value": _REGIONS[number % len(_REGIONS)]}
    status = {
        "phase": "Ready",
        "namespace": cluster_namespace(name),
        "agent": {"kubernetes": "v1.34.0", "apis": ["apps/v1", "v1"], "properties": [region]},
    }
    spec = {"clusterSet": CLUSTER_SET, "accepted": True}
    return {"metadata": {"name": name}, "spec": spec, "status": status}


def capacity(name: str) -> Json:
    """Its room."""
    told = dict.fromkeys(("total", "available", "continuous"), _ROOM)
    status = {**told, "shapes": [{"count": 1, "free": _ROOM}], "nodes": 1, "namespaces": [NAMESPACE]}
    return {"metadata": {"name": CAPACITY, "namespace": cluster_namespace(name)}, "status": status}


def placement(name: str) -> Json:
    """For two clusters, in different regions where it can be."""
    container = {"name": "app", "image": "example.com/app", "resources": {"requests": {"cpu": "100m"}}}
    labels = {"app": name}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    spread = {"property": "region.topology.meshctl.dev", "whenUnsatisfiable": "ScheduleAnyway"}
    spec = {
        "clusterSets": [CLUSTER_SET],
        "clusters": {"count": COPIES},
        "require": {"spread": [spread]},
        "manifests": [deployment],
    }
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def placed_row(runs: Sequence[Placed], *, load: float) -> Row:
    """Placements a second, from the first request to the last Assignment."""
    rates = tuple((one.placements - one.missing) / one.whole for one in runs)
    samples = tuple(seconds for one in runs for seconds in one.each)
    return Row(
        work="placements created to Assignments written",
        params={"clusters": runs[0].clusters, "placements": runs[0].placements},
        metric="placements_per_s",
        ours=Figure(rates, samples),
        better="higher",
        detail={
            "whole_s": [round(one.whole, 2) for one in runs],
            "last_created_s": [round(one.created, 2) for one in runs],
            "cpu_s": [round(one.cpu, 2) for one in runs],
        },
        errors={"ours": sum(one.missing for one in runs)},
        load=load,
    )

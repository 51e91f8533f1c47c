"""PlacementReports of one Placement: what was decided of every cluster, and why.

1. Every cluster is on one page, at most `MOST` on each, in the order of their names.
2. They are written at once when a verdict changes, else at most once in `REST` seconds: scores move all the
   time, and nobody waits for that.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from mesh_core.conditions import rfc3339
from mesh_core.objects import Meta
from mesh_core.plan import Json
from mesh_placement.names import LABEL_PLACEMENT, placed_name
from mesh_placement.objects import ClusterVerdict, NamespacedName, PlacementReport

MOST: Final = 100
REST: Final = 60.0
_LONGEST_TEXT: Final = 1024


def report_pages(
    placement: Meta, *, revision: int, verdicts: Iterable[ClusterVerdict], now: datetime
) -> tuple[PlacementReport, ...]:
    """What is to be there; a Placement that has met no cluster has one empty page."""
    ordered = sorted((_bounded(one) for one in verdicts), key=lambda one: one.cluster)
    label = placed_name(placement.namespace, name=placement.name)
    return tuple(
        PlacementReport(
            metadata=Meta(
                name=f"{placement.name}-{number}",
                namespace=placement.namespace,
                labels={LABEL_PLACEMENT: label},
            ),
            placement_ref=NamespacedName(name=placement.name, namespace=placement.namespace),
            revision=revision,
            at=rfc3339(now),
            clusters=tuple(ordered[start : start + MOST]),
        )
        for number, start in enumerate(range(0, max(len(ordered), 1), MOST))
    )


def seconds_until_write(
    there: Sequence[PlacementReport], wanted: Sequence[PlacementReport], *, now: datetime
) -> float | None:
    """Seconds until `wanted` is to be written over what is `there`; None for never."""
    old = {one.metadata.name: one for one in there}
    new = {one.metadata.name: one for one in wanted}
    if old.keys() != new.keys() or any(_news(old[name]) != _news(one) for name, one in new.items()):
        return 0.0
    if all(old[name].clusters == one.clusters for name, one in new.items()):
        return None
    return max(0.0, REST - max(0.0, (now - _oldest(there, now=now)).total_seconds()))


def page_body(one: PlacementReport) -> Json:
    """As it is written."""
    meta = one.metadata
    return {
        "metadata": {"name": meta.name, "namespace": meta.namespace, "labels": dict(meta.labels)},
        "placementRef": msgspec.to_builtins(one.placement_ref),
        "revision": one.revision,
        "at": one.at,
        "clusters": [msgspec.to_builtins(each) for each in one.clusters],
    }


def _news(one: PlacementReport) -> tuple[object, ...]:
    """What somebody waits for."""
    return one.revision, [(each.cluster, each.verdict, each.code, each.replicas) for each in one.clusters]


def _oldest(there: Sequence[PlacementReport], *, now: datetime) -> datetime:
    return min((datetime.fromisoformat(one.at) for one in there if one.at), default=now)


def _bounded(one: ClusterVerdict) -> ClusterVerdict:
    return msgspec.structs.replace(
        one,
        observed=one.observed[:_LONGEST_TEXT],
        required=one.required[:_LONGEST_TEXT],
        hint=one.hint[:_LONGEST_TEXT],
    )

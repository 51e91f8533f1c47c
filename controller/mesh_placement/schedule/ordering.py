"""Whether a cluster is ordered for a ClusterSet (ClusterClaim), because something finds no room in it.

1. Only where the set says so, never more than `maxClusters` claims, and one for all that is unplaced.
2. Only for lack of room: what is refused for its rules, its API or its services, a new cluster refuses too.
   And only where what is offered would take it, by its properties and its nodes: nobody orders a cluster by
   asking for what cannot be.
3. No second one while one is on its way, leaves, or stands idle: that one would have to help first.
4. A cluster that was given back without use makes the next order wait, longer each time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mesh_core.conditions import rfc3339
from mesh_core.plan import Json
from mesh_placement.decide.placement_conditions import SCHEDULED
from mesh_placement.decide.placement_refusal import PlacementReason
from mesh_placement.decide.quantity import Rounding, quantity, thousandths
from mesh_placement.names import CLAIM_FINALIZER, LABEL_CLUSTERSET
from mesh_placement.objects import (
    ClusterClaim,
    ClusterSet,
    ClusterVerdict,
    Placement,
    ProvisionRule,
    ProvisionStatus,
)
from mesh_placement.objects.placing import PropertyTerm
from mesh_placement.schedule.filters.properties import holds
from mesh_placement.schedule.snapshot import Demand

_SHORT: Final = (PlacementReason.SHORT.value, PlacementReason.NO_CLUSTER.value)
_NO_ROOM: Final = ("Insufficient", "Fragmented", "AtScaleLimit")
_FIRST_PAUSE: Final = 300.0
_LONGEST_PAUSE: Final = 6 * 3600.0
_MOST_FRUITLESS: Final = 1000
_MOST_NAMED: Final = 3
_LONGEST_BECAUSE: Final = 1024
_LONGEST_PREFIX: Final = 52
_PODS: Final = "pods"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """Something without room in a set. `request` is what one replica asks for, in thousandths, `at_once` how
    many of them a cluster must take to be of use; `words` are what is there and what is needed; `since` is
    when it found no place; `terms` are the properties that it requires."""

    placement: str
    request: Mapping[str, int]
    at_once: int
    terms: tuple[PropertyTerm, ...]
    words: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """A ClusterClaim to be made, or None; and the seconds until that is to be asked again."""

    claim: Json | None = None
    look_again: float | None = None


def is_short(placement: Placement) -> bool:
    """Whether it lacks a place, for whatever reason."""
    return any(one.type == SCHEDULED and one.reason in _SHORT for one in placement.status.conditions)


def unplaced(
    placement: Placement,
    *,
    verdicts: Iterable[ClusterVerdict],
    members: Collection[str],
    demand: Demand,
) -> Unplaced | None:
    """What the Placement lacks in a set that has the clusters `members`, None where it is not room.

    `verdicts` are those of its last report. Whoever calls this has seen that its namespace may use the set.
    """
    condition = next((one for one in placement.status.conditions if one.type == SCHEDULED), None)
    if condition is None or not is_short(placement):
        return None
    if (
        placement.metadata.deletion_timestamp is not None
        or placement.spec.clusters.names
        or not demand.request
    ):
        return None
    told = [one for one in verdicts if one.cluster in members]
    without = [one for one in told if one.verdict == "Rejected" and one.code in _NO_ROOM]
    if not without and not any(one.verdict == "Selected" for one in told) and (told or members):
        return None
    since = _time(condition.last_transition_time)
    if since is None:
        return None
    name = f"{placement.metadata.namespace}/{placement.metadata.name}"
    rule = placement.spec.replicas
    count = demand.replicas if rule.count is None else rule.count
    return Unplaced(
        placement=name,
        request=demand.request,
        at_once=max(1, count or 1) if rule.policy == "Duplicate" else 1,
        terms=placement.spec.require.properties,
        words=_words(without, demand.request),
        since=since,
    )


def order(
    wanted: ClusterSet,
    *,
    claims: Sequence[ClusterClaim],
    lacking: Iterable[Unplaced],
    taken: Collection[str],
    now: datetime,
) -> Order:
    """What is ordered for the set: `claims` are all of it, `taken` the names that a cluster cannot have."""
    rule = wanted.spec.provision
    if rule is None or wanted.metadata.deletion_timestamp is not None:
        return Order()
    helped = sorted((one for one in lacking if _would_help(rule, one)), key=_age)
    if not helped or len(claims) >= rule.max_clusters or not all(_is_at_work(one) for one in claims):
        return Order()
    begins = helped[0].since + timedelta(seconds=rule.after_seconds)
    pause = _time(wanted.status.provision.not_before)
    wait = (max(begins, pause) if pause is not None else begins) - now
    if wait > timedelta():
        return Order(look_again=max(1.0, wait.total_seconds()))
    return Order(_claim(wanted, rule, helped, taken=taken))


def after_giving_back(before: ProvisionStatus, *, used: bool, now: datetime) -> ProvisionStatus:
    """Law 4: what is noted of the set when a cluster of it is given back because it stood idle."""
    if used:
        return ProvisionStatus()
    count = min(_MOST_FRUITLESS, before.fruitless + 1)
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(count - 1, 16))
    return ProvisionStatus(fruitless=count, not_before=rfc3339(now + timedelta(seconds=pause)))


def _is_at_work(claim: ClusterClaim) -> bool:
    """Law 3."""
    return (
        claim.metadata.deletion_timestamp is None
        and claim.status.phase == "Ready"
        and claim.status.used
        and not claim.status.idle_since
    )


def _would_help(rule: ProvisionRule, one: Unplaced) -> bool:
    """Law 2; pods are never what is lacking on an empty node."""
    if not holds(one.terms, rule.match_properties):
        return False
    on_a_node = one.at_once
    for name, amount in one.request.items():
        offered = thousandths(rule.offers.get(name, "0"), rounding=Rounding.DOWN) or 0
        if name != _PODS and amount > 0:
            on_a_node = min(on_a_node, offered // amount)
    return on_a_node * rule.nodes >= one.at_once


def _claim(
    wanted: ClusterSet, rule: ProvisionRule, helped: Sequence[Unplaced], *, taken: Collection[str]
) -> Json:
    need: dict[str, int] = {}
    for one in helped:
        for name, amount in one.request.items():
            need[name] = max(need.get(name, 0), amount)
    told = [f"{one.placement}: {one.words}" for one in helped[:_MOST_NAMED]]
    more = [f"and {len(helped) - _MOST_NAMED} more"] if len(helped) > _MOST_NAMED else []
    spec = {
        "clusterSet": wanted.metadata.name,
        "provider": rule.provider,
        "nodes": rule.nodes,
        "need": {name: quantity(name, amount) for name, amount in sorted(need.items()) if name != _PODS},
        "matchProperties": dict(rule.match_properties),
        "because": "; ".join([*told, *more])[:_LONGEST_BECAUSE],
        "drainWhenIdleSeconds": rule.drain_when_idle_seconds,
    }
    meta = {
        "name": _free_name(wanted.metadata.name, taken=taken),
        "labels": {LABEL_CLUSTERSET: wanted.metadata.name},
        "finalizers": [CLAIM_FINALIZER],
    }
    return {"metadata": meta, "spec": spec}


def _free_name(cluster_set: str, *, taken: Collection[str]) -> str:
    prefix = cluster_set[:_LONGEST_PREFIX].rstrip("-")
    return next(name for count in range(1, len(taken) + 2) if (name := f"{prefix}-{count}") not in taken)


def _words(without: Sequence[ClusterVerdict], request: Mapping[str, int]) -> str:
    """What is there and what is needed, of the cluster that is first by name."""
    needs = ", ".join(f"{name} {quantity(name, amount)}" for name, amount in sorted(request.items()))
    first = min(without, key=lambda one: one.cluster, default=None)
    if first is None:
        return f"needs {needs}"
    return f"{first.cluster}: {first.observed}; needs {first.required or needs}"


def _age(one: Unplaced) -> tuple[datetime, str]:
    return one.since, one.placement


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None

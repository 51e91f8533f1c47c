"""What would be if: a snapshot with one thing changed, from a line of text.

`FORMS` are the lines; the scheduler does the rest.
`cluster a down` is after its toleration: neither lease nor gateways, and nobody reaches what it exports.
`cut-off` is the way to the hub alone.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, get_args

from msgspec.structs import replace

from mesh_core.errors import UserError
from mesh_placement.names import TAINT_UNREACHABLE
from mesh_placement.objects.ours import Effect, LinkState
from mesh_placement.schedule.network.needs import budget_of
from mesh_placement.schedule.snapshot import Cluster, Export, HeldTaint, Link, Snapshot, Wanted

_Row = TypeVar("_Row", Cluster, Wanted)

FORMS = (
    "link A->B up|degraded|down|unknown",
    "rtt A->B 80ms",
    "cluster A up|down|cut-off",
    "property A NAME=VALUE",
    "taint A KEY[=VALUE]:EFFECT",
    "untaint A KEY",
    "export NAMESPACE/SERVICE A READY",
    "replicas NAMESPACE/PLACEMENT COUNT",
    "priority NAMESPACE/PLACEMENT NUMBER",
)
_MOST_NAMED = 20

_STATES: dict[str, LinkState] = {one.lower(): one for one in get_args(LinkState)}
_EFFECTS: dict[str, Effect] = {one.lower(): one for one in get_args(Effect)}


class NotUnderstood(UserError):
    """A change that is no sentence of ours, or names what is not there."""


def changed(snapshot: Snapshot, changes: Iterable[str]) -> Snapshot:
    """The snapshot after the changes, in order; raises NotUnderstood."""
    for text in changes:
        words = text.split()
        verb = _VERBS.get(words[0]) if words else None
        if verb is None or len(words) != verb[0]:
            raise NotUnderstood(f"'{text}' is no change", next_step=f"write one of: {'; '.join(FORMS)}")
        snapshot = verb[1](snapshot, words[1:])
    return snapshot


def _link(snapshot: Snapshot, words: Sequence[str]) -> Snapshot:
    state = _STATES.get(words[1].lower())
    if state is None:
        raise NotUnderstood(
            f"'{words[1]}' is no state of a link", next_step=f"write one of {', '.join(sorted(_STATES))}"
        )
    return _with_link(snapshot, words[0], lambda one: replace(one, state=state, is_fresh=True))


def _rtt(snapshot: Snapshot, words: Sequence[str]) -> Snapshot:
    time = budget_of(words[1])
    if not time:
        raise NotUnderstood(f"'{words[1]}' is no round trip", next_step="write it like 80ms")
    return _with_link(snapshot, words[0], lambda one: replace(one, ewma=time, p50=time, p99=time))


def _cluster(snapshot: Snapshot, words: Sequence[str]) -> Snapshot:
    name, state = words
    _named(snapshot.clusters, name)
    states: dict[str, Callable[[Snapshot, str], Snapshot]] = {"up": _up, "down": _down, "cut-off": _cut_off}
    if state not in states:
        raise NotUnderstood(
            f"'{state}' is no state of a cluster", next_step=f"write one of {', '.join(sorted(states))}"
        )
    return states[state](snapshot, name)


def _up(snapshot: Snapshot, name: str) -> Snapshot:
    return _with_cluster(
        snapshot,
        name,
        lambda one: replace(
            one,
            phase="Ready",
            standing="Ok",
            stable_since=0.0,
            unmet_gates=(),
            taints=tuple(taint for taint in one.taints if taint.key != TAINT_UNREACHABLE),
        ),
    )


def _down(snapshot: Snapshot, name: str) -> Snapshot:
    taint = HeldTaint(TAINT_UNREACHABLE, "NoExecute")
    snapshot = _with_cluster(
        snapshot,
        name,
        lambda one: replace(
            one,
            phase="Unreachable",
            standing="Dead",
            stable_since=None,
            taints=(*(it for it in one.taints if it.key != TAINT_UNREACHABLE), taint),
        ),
    )
    links = tuple(
        replace(one, state="Down" if one.target == name else "Unknown", is_fresh=one.target == name)
        if name in (one.source, one.target)
        else one
        for one in snapshot.links
    )
    exports = tuple(replace(one, ready=0) if one.cluster == name else one for one in snapshot.exports)
    return replace(snapshot, links=links, exports=exports)


def _cut_off(snapshot: Snapshot, name: str) -> Snapshot:
    return _with_cluster(
        snapshot,
        name,
        lambda one: replace(one, phase="Unreachable", standing="ControlPartition", stable_since=None),
    )


def _property(snapshot: Snapshot, words: Sequence[str]) -> Snapshot:
    name, _, value = words[1].partition("=")
    return _with_cluster(
        snapshot, words[0], lambda one: replace(one, properties={**one.properties, name: value})
    )


def _taint(snapshot: Snapshot, words: Sequence[str]) -> Snapshot:
    said, _, effect = words[1].rpartition(":")
    key, _, value = said.partition("=")
    if not key or effect.lower() not in _EFFECTS:
        raise NotUnderstood(
            f"'{words[1]}' is no taint", next_step="write KEY:NoExecute or KEY=VALUE:NoSchedule"
        )
    taint = HeldTaint(key, _EFFECTS[effect.lower()], value)
    return _with_cluster(snapshot, words[0], lambda one: replace(one, taints=(*one.taints, taint)))


def _untaint(snapshot: Snapshot, words: Sequence[str]) -> Snapshot:
    return _with_cluster(
        snapshot,
        words[0],
        lambda one: replace(one, taints=tuple(it for it in one.taints if it.key != words[1])),
    )


def _export(snapshot: Snapshot, words: Sequence[str]) -> Snapshot:
    service, cluster = words[0], words[1]
    ready = _number(words[2], least=0)
    _named(snapshot.clusters, cluster)
    others = [one for one in snapshot.exports if (one.service, one.cluster) != (service, cluster)]
    told = next(
        (one for one in snapshot.exports if (one.service, one.cluster) == (service, cluster)),
        Export(cluster, service),
    )
    found = sorted((*others, replace(told, ready=ready, is_fresh=True)), key=_export_order)
    return replace(snapshot, exports=tuple(found))


def _replicas(snapshot: Snapshot, words: Sequence[str]) -> Snapshot:
    count = _number(words[1], least=0)

    def change(one: Wanted) -> Wanted:
        return replace(one, spec=replace(one.spec, replicas=replace(one.spec.replicas, count=count)))

    return _with_placement(snapshot, words[0], change)


def _priority(snapshot: Snapshot, words: Sequence[str]) -> Snapshot:
    number = _number(words[1], least=None)
    return _with_placement(snapshot, words[0], lambda one: replace(one, priority=number))


_VERBS: dict[str, tuple[int, Callable[[Snapshot, Sequence[str]], Snapshot]]] = {
    "link": (3, _link),
    "rtt": (3, _rtt),
    "cluster": (3, _cluster),
    "property": (3, _property),
    "taint": (3, _taint),
    "untaint": (3, _untaint),
    "export": (4, _export),
    "replicas": (3, _replicas),
    "priority": (3, _priority),
}


def _with_cluster(snapshot: Snapshot, name: str, change: Callable[[Cluster], Cluster]) -> Snapshot:
    found = _named(snapshot.clusters, name)
    return replace(
        snapshot, clusters=tuple(change(one) if one is found else one for one in snapshot.clusters)
    )


def _with_placement(snapshot: Snapshot, name: str, change: Callable[[Wanted], Wanted]) -> Snapshot:
    found = _named(snapshot.placements, name)
    return replace(
        snapshot, placements=tuple(change(one) if one is found else one for one in snapshot.placements)
    )


def _with_link(snapshot: Snapshot, ends: str, change: Callable[[Link], Link]) -> Snapshot:
    source, arrow, target = ends.partition("->")
    if not arrow:
        raise NotUnderstood(f"'{ends}' is no link", next_step="write FROM->TO")
    for name in (source, target):
        _named(snapshot.clusters, name)
    others = [one for one in snapshot.links if (one.source, one.target) != (source, target)]
    told = next(
        (one for one in snapshot.links if (one.source, one.target) == (source, target)), Link(source, target)
    )
    found = sorted((*others, change(told)), key=lambda one: (one.source, one.target))
    return replace(snapshot, links=tuple(found))


def _named(rows: Sequence[_Row], name: str) -> _Row:
    for one in rows:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in rows[:_MOST_NAMED]) or "none"
    raise NotUnderstood(f"there is no {name}", next_step=f"name one of those that there are: {known}")


def _number(text: str, *, least: int | None) -> int:
    try:
        number = int(text)
    except ValueError:
        raise NotUnderstood(f"'{text}' is no whole number", next_step="write digits") from None
    if least is not None and number < least:
        raise NotUnderstood(f"{number} is less than {least}", next_step=f"write {least} or more")
    return number


def _export_order(one: Export) -> tuple[str, str]:
    return one.service, one.cluster

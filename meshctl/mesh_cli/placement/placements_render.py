"""What `meshctl placements` and `meshctl explain placement` show. Pure: the same objects, the same bytes.

The tables are for reading and may change; the JSON is a promise: keys are only ever added.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from mesh_cli.output import as_json
from mesh_cli.placement.placements_survey import Explained
from mesh_cli.table import age, table
from mesh_placement.objects import ClusterVerdict, Move, PlacedCluster, Placement

_HEAD = ("PLACEMENT", "SCHEDULED", "APPLIED", "WANTED", "READY", "SHORT", "CLUSTERS", "REVISION", "AGE")
_VERDICTS = ("CLUSTER", "VERDICT", "WHY", "FOUND", "ASKED FOR", "SCORE", "REPLICAS")
_HISTORY = ("AGE", "FROM", "TO", "REPLICAS", "CAUSE")
_ORDER = ("Selected", "Held", "Outranked", "ReplicaBudgetSpent", "PreemptionPending", "Backoff", "Rejected")
_MOST_CLUSTERS = 5


def placements_as_text(placements: Sequence[Placement], *, at: str) -> str:
    """A line for each, then what is wrong."""
    if not placements:
        return "no placements\n"
    notes = "".join(f"{note}\n" for one in placements for note in _notes(one))
    rows = [_row(one, at=at) for one in placements]
    return table(_HEAD, rows) + "\n" + (f"\n{notes}" if notes else "")


def placements_as_json(placements: Iterable[Placement], *, at: str) -> str:
    """All of them; keys in camelCase, times in RFC 3339, absent things null or empty."""
    return _json({"at": at, "placements": [_placement(one) for one in placements]})


def explained_as_text(found: Explained, *, cluster: str, why_moved: bool, at: str) -> str:
    """Where it is and why; of `cluster` alone if that is not "", with its moves if `why_moved`."""
    sections = ["\n".join(_summary(found, at=at))]
    verdicts = [one for one in found.verdicts if cluster in ("", one.cluster)]
    if cluster and not verdicts:
        sections.append(f"the last report says nothing of a cluster {cluster}")
    elif cluster:
        sections.append("\n".join(_in_full(verdicts[0])))
    elif verdicts:
        sections.append(verdict_table(verdicts))
        sections += filter(None, ["\n".join(f"{one.cluster}: {one.hint}" for one in verdicts if one.hint)])
    if why_moved:
        sections.append(_history(found.placement.status.history, cluster=cluster, at=at))
    return "\n\n".join(sections) + "\n"


def explained_as_json(found: Explained, *, cluster: str, at: str) -> str:
    """The Placement with its verdicts."""
    verdicts = [one for one in found.verdicts if cluster in ("", one.cluster)]
    return _json(
        {
            "at": at,
            "placement": _placement(found.placement),
            "report": {
                "revision": found.revision or None,
                "at": found.at or None,
                "clusters": msgspec.to_builtins(verdicts),
            },
            "history": msgspec.to_builtins(found.placement.status.history),
        }
    )


def verdict_table(verdicts: Iterable[ClusterVerdict]) -> str:
    """A line for each cluster, the best first."""
    return table(_VERDICTS, [_verdict(one) for one in sorted(verdicts, key=_rank)])


def _row(one: Placement, *, at: str) -> tuple[str, ...]:
    status = one.status
    conditions = {each.type: each.status for each in status.conditions}
    names = [_share(each) for each in status.clusters[:_MOST_CLUSTERS]]
    more = len(status.clusters) - _MOST_CLUSTERS
    return (
        "/".join(one.key),
        conditions.get("Scheduled", ""),
        conditions.get("Applied", ""),
        "" if status.wanted is None else str(status.wanted),
        str(sum(each.ready for each in status.clusters)),
        str(status.shortfall or ""),
        ",".join(names) + (f",+{more}" if more > 0 else ""),
        str(status.revision or ""),
        age(one.metadata.creation_timestamp, at=at),
    )


def _share(one: PlacedCluster) -> str:
    return one.cluster if one.replicas is None else f"{one.cluster}={one.replicas}"


def _notes(one: Placement) -> Iterator[str]:
    """What is not as it should be; a Placement that is being deleted says so by Applied."""
    for condition in one.status.conditions:
        is_odd = condition.reason in ("Held", "Removing")
        if condition.status != "True" or is_odd:
            message = " ".join((condition.message or condition.reason).split())
            yield f"{'/'.join(one.key)}: {condition.type}={condition.status}: {message}"
    if not one.status.conditions:
        yield f"{'/'.join(one.key)}: no hub has looked at it yet"


def _summary(found: Explained, *, at: str) -> Iterator[str]:
    one, status = found.placement, found.placement.status
    where = ", ".join(map(_share, status.clusters)) or "no cluster"
    yield f"{'/'.join(one.key)} is in {where} (revision {status.revision})"
    yield from _notes(one)
    if found.at:
        late = "" if found.revision == status.revision else f", of revision {found.revision}"
        yield f"reported {age(found.at, at=at)} ago{late}"


def _rank(one: ClusterVerdict) -> tuple[int, float, str]:
    return _ORDER.index(one.verdict), -(one.score or 0.0), one.cluster


def _verdict(one: ClusterVerdict) -> tuple[str, ...]:
    why = f"{one.filter}: {one.code}" if one.filter and one.code else one.code or one.filter
    return (
        one.cluster,
        one.verdict,
        why,
        one.observed,
        one.required,
        _number(one.score),
        "" if one.replicas is None else str(one.replicas),
    )


def _in_full(one: ClusterVerdict) -> Iterator[str]:
    yield f"{one.cluster}: {one.verdict}"
    said = (("rule", one.filter), ("why", one.code), ("found", one.observed), ("asked for", one.required))
    yield from (f"  {name}: {text}" for name, text in said if text)
    if one.replicas is not None:
        yield f"  replicas: {one.replicas}"
    if one.score is not None:
        lacking = f", {_number(one.margin)} too few" if one.margin else ""
        yield f"  score: {_number(one.score)}{lacking}"
        yield from (f"    {name}: {_number(part)}" for name, part in sorted(one.parts.items()))
    if one.hint:
        yield f"  what would help: {one.hint}"


def _history(moves: Sequence[Move], *, cluster: str, at: str) -> str:
    shown = [one for one in moves if cluster in ("", one.source, one.target)]
    if not shown:
        return "it has not moved" + (f" to or from {cluster}" if cluster else "")
    rows = [
        (
            age(one.time, at=at),
            one.source,
            one.target,
            "" if one.replicas is None else str(one.replicas),
            one.cause,
        )
        for one in shown
    ]
    return table(_HISTORY, rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}".removesuffix(".0")


def _placement(one: Placement) -> Mapping[str, object]:
    status = one.status
    return {
        "namespace": one.metadata.namespace,
        "name": one.metadata.name,
        "clusterSets": one.spec.cluster_sets,
        "revision": status.revision,
        "wanted": status.wanted,
        "shortfall": status.shortfall,
        "clusters": msgspec.to_builtins(status.clusters),
        "conditions": [
            {
                "type": each.type,
                "status": each.status,
                "reason": each.reason,
                "message": each.message,
                "lastTransitionTime": each.last_transition_time or None,
            }
            for each in status.conditions
        ],
    }


def _json(body: Mapping[str, object]) -> str:
    return as_json(body)

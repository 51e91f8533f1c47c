"""What the scheduler would decide, as `place`, `explain --replay` and what-if show it. Pure.

The tables are for reading and may change; the JSON is a promise: keys are only ever added.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from mesh_cli.output import as_json
from mesh_cli.placement.placements_render import verdict_table
from mesh_cli.placement.what_if import Foreseen, WhatIf
from mesh_cli.table import table
from mesh_placement.objects import ClusterVerdict
from mesh_placement.schedule.plan import Decision, Placed, Shrink

_CHANGED = ("CLUSTER", "REPLICAS", "THEN", "VERDICT", "THEN", "WHY", "FOUND", "ASKED FOR")
_NOWHERE = "no cluster"


def foreseen_as_text(found: Foreseen, *, now: float) -> str:
    """Each with its clusters, the best first, and who else would change; `now` in seconds since 1970."""
    sections = [*_sections(found.decisions, now=now), _others(found.others)]
    return "\n\n".join(filter(None, sections)) + "\n"


def foreseen_as_json(found: Foreseen, *, at: str) -> str:
    """The same; keys in camelCase, times in RFC 3339, absent things null or empty."""
    return _json({"at": at, "decisions": [_decision(one) for one in found.decisions], "others": found.others})


def replay_as_text(decisions: Sequence[Decision], *, others: Sequence[str], now: float) -> str:
    """The plan, and for whom it was another one when it was stored."""
    said = f"was decided otherwise then: {', '.join(others)}" if others else "the same as it was decided then"
    return "\n\n".join((*_sections(decisions, now=now), said)) + "\n"


def replay_as_json(decisions: Iterable[Decision], *, others: Sequence[str], at: str) -> str:
    """The same; `at` is the time of the stored cycle."""
    return _json({"at": at, "decisions": [_decision(one) for one in decisions], "otherwiseThen": others})


def what_if_as_text(found: WhatIf, *, cluster: str, now: float) -> str:
    """What would be otherwise, of `cluster` alone if that is not ""."""
    then = found.then
    before, after = _where(found.now.placed), _where(then.placed)
    lines = [f"{then.placement}: {before}; if {', '.join(found.changes)}: {after}"]
    lines += _notes(then, now=now)
    rows = [row for row in _differences(found) if cluster in ("", row[0])]
    is_known = cluster in ("", *(one.cluster for one in then.verdicts))
    nothing = "nothing would change" if is_known else f"the hub has no cluster {cluster}"
    changes = table(_CHANGED, rows) if rows else nothing
    return "\n\n".join(filter(None, ("\n".join(lines), changes, _others(found.others)))) + "\n"


def what_if_as_json(found: WhatIf, *, at: str) -> str:
    """Both decisions, and who else would change."""
    return _json(
        {
            "at": at,
            "whatIf": found.changes,
            "now": _decision(found.now),
            "then": _decision(found.then),
            "others": found.others,
        }
    )


def _sections(decisions: Iterable[Decision], *, now: float) -> Iterator[str]:
    for one in decisions:
        yield "\n".join((f"{one.placement}: {_where(one.placed)}", *_notes(one, now=now)))
        if one.verdicts:
            yield verdict_table(one.verdicts)
        hints = [f"{each.cluster}: {each.hint}" for each in one.verdicts if each.hint]
        if hints:
            yield "\n".join(hints)


def _others(names: Iterable[str]) -> str:
    return "\n".join(f"{name} would change too" for name in names)


def _where(placed: Iterable[Placed]) -> str:
    names = [one.cluster if one.replicas is None else f"{one.cluster}={one.replicas}" for one in placed]
    return ", ".join(names) or _NOWHERE


def _notes(one: Decision, *, now: float) -> Iterator[str]:
    if one.hold:
        yield f"held: {one.hold}"
    if one.changes and one.cause:
        yield f"because: {one.cause}"
    if one.shortfall:
        yield f"{one.shortfall} of {one.wanted} replicas find no place"
    yield from (_shrink(each) for each in one.shrinks)
    if one.again is not None:
        yield f"looked at again in {max(0, round(one.again - now))} s"


def _shrink(one: Shrink) -> str:
    return f"{one.placement} gives up {one.replicas} in {one.cluster}"


def _differences(found: WhatIf) -> Iterator[tuple[str, ...]]:
    """A row for each cluster of which replicas, verdict or reason differ."""
    # Of both decisions: all clusters of the same snapshot, in the order of their names.
    for old, new in zip(found.now.verdicts, found.then.verdicts, strict=True):
        if (old.verdict, old.code, old.replicas) == (new.verdict, new.code, new.replicas):
            continue
        why = f"{new.filter}: {new.code}" if new.filter and new.code else new.code
        yield (
            new.cluster,
            _count(old),
            _count(new),
            old.verdict,
            new.verdict,
            why,
            new.observed,
            new.required,
        )


def _count(one: ClusterVerdict) -> str:
    return "" if one.replicas is None else str(one.replicas)


def _decision(one: Decision) -> Mapping[str, object]:
    return {
        "placement": one.placement,
        "placed": msgspec.to_builtins(one.placed),
        "changes": one.changes,
        "hold": one.hold,
        "cause": one.cause,
        "wanted": one.wanted,
        "shortfall": one.shortfall,
        "shrinks": msgspec.to_builtins(one.shrinks),
        "clusters": msgspec.to_builtins(one.verdicts),
    }


def _json(body: Mapping[str, object]) -> str:
    return as_json(body)

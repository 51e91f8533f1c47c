"""A traced way as a table for people and as JSON. Pure."""

from collections.abc import Iterable

from mesh_cli.output import as_json
from mesh_cli.table import age, one_line, table
from mesh_cli.trace.hop import Hop, Source, Verdict

_HEAD = ("HOP", "IN", "VIA", "STATE", "WHAT", "SEEN", "PROBE", "OBJECT", "AGE")


def verdict_as_text(
    found: Verdict, *, at: str, deaf: Iterable[tuple[str, str]] = (), wide: bool = False
) -> str:
    """A row for each hop, who did not answer, and one line that says it all; wide: what decides each hop,
    too."""
    head = (*_HEAD, "DECIDED BY") if wide else _HEAD
    rows = [
        _row(number, hop, at=at) + ((hop.decides,) if wide else ())
        for number, hop in enumerate(found.hops, 1)
    ]
    parts = [table(head, rows)]
    parts += ["\n".join(f"{context}: {why}" for context, why in deaf)] if deaf else []
    return "\n\n".join([*parts, found.line]) + "\n"


def verdict_as_json(found: Verdict, *, at: str, deaf: Iterable[tuple[str, str]] = ()) -> str:
    """Everything."""
    document = {
        "at": at,
        "hops": [_told(number, hop) for number, hop in enumerate(found.hops, 1)],
        "failing": found.failing,
        "goes": found.goes,
        "line": found.line,
        "notSeen": [{"context": context, "error": why} for context, why in deaf],
    }
    return as_json(document)


def _row(number: int, hop: Hop, *, at: str) -> tuple[str, ...]:
    first = hop.sources[0] if hop.sources else None
    named = (
        f"{first.kind} {first.name}" + (f" +{len(hop.sources) - 1}" if len(hop.sources) > 1 else "")
        if first
        else ""
    )
    return (
        str(number),
        hop.cluster,
        hop.via,
        hop.state.value,
        hop.title,
        one_line(hop.seen),
        hop.probe,
        named,
        _age(first, at=at),
    )


def _age(source: Source | None, *, at: str) -> str:
    try:
        return age(source.since, at=at) if source is not None else ""
    except ValueError:
        return "?"


def _told(number: int, hop: Hop) -> dict[str, object]:
    return {
        "hop": number,
        "title": hop.title,
        "cluster": hop.cluster,
        "via": hop.via or None,
        "state": hop.state.value,
        "decides": hop.decides,
        "seen": hop.seen,
        "probe": hop.probe or None,
        "objects": [{"kind": one.kind, "name": one.name, "since": one.since or None} for one in hop.sources],
        "next": hop.next_step or None,
    }

"""A timeline as a table for people and as JSON. Pure."""

from mesh_cli.events.timeline import Timeline
from mesh_cli.output import as_json
from mesh_cli.table import one_line, table

_HEAD = ("TIME", "CLUSTER", "OBJECT", "WHAT", "REASON", "MESSAGE")
_LONGEST = 100


def timeline_as_text(found: Timeline, *, wide: bool = False) -> str:
    """The newest below; messages are cut short unless `wide`."""
    rows = []
    for one in found.entries:
        message = one_line(one.message) + (f" (x{one.count})" if one.count > 1 else "")
        if not wide and len(message) > _LONGEST:
            message = message[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
        about = f"{one.kind} {one.object}"
        rows.append(
            (one.at[:19], one.cluster, one_line(about), one_line(one.what), one_line(one.reason), message)
        )
    parts = [table(_HEAD, rows) if rows else "nothing happened"]
    if found.left_out:
        parts.append(f"{found.left_out} older ones are not shown: give a greater --limit")
    parts += [f"{one.context}: {one_line(one.error)}" for one in found.unseen]
    return "\n\n".join(parts) + "\n"


def timeline_as_json(found: Timeline) -> str:
    """Everything that was found."""
    document = {
        "at": found.at,
        "events": [
            {
                "at": one.at,
                "cluster": one.cluster,
                "kind": one.kind,
                "object": one.object,
                "what": one.what,
                "reason": one.reason,
                "message": one.message,
                "count": one.count,
            }
            for one in found.entries
        ],
        "leftOut": found.left_out,
        "notSeen": [{"context": one.context, "error": one.error} for one in found.unseen],
    }
    return as_json(document)

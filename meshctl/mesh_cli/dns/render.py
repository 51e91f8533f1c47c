"""The way of a name, as a table or as JSON. Pure."""

from collections.abc import Sequence

from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.reply import Reply
from mesh_cli.dns.verdict import findings, notes
from mesh_cli.dns.way import Finding, NotAllowed, Step, Way
from mesh_cli.output import as_json
from mesh_cli.table import table

_MOST_SHOWN = 60


def way_as_text(way: Way, *, wide: bool = False) -> str:
    """A row for each who was asked, then who disagrees and why, then what else is worth knowing.

    `wide` shows answers of any length.
    """
    found = findings(way)
    head = ("", "ASKED", "NAME", "WHERE", "ANSWER", "TTL")
    rows = [_row(step, found=found, most=None if wide else _MOST_SHOWN) for step in way.steps]
    lines = [f"{way.query.name} {way.query.type} in context {way.context}", "", table(head, rows), ""]
    for one in found:
        lines += [f"{str(one.step).strip()}: {one.why}", f"  next: {one.next_step}"]
    lines += [f"note: {one}" for one in notes(way)]
    if not found:
        lines.append("all say the same")
    return "\n".join(lines) + "\n"


def way_as_json(way: Way) -> str:
    """The same for programs; keys in camelCase, what was not asked or not said is null."""
    found = findings(way)
    document = {
        "context": way.context,
        "name": way.query.name,
        "type": way.query.type,
        "agree": not found,
        "steps": [_step_as_json(step, found=found) for step in way.steps],
        "notes": list(notes(way)),
    }
    return as_json(document)


def _row(step: Step, *, found: Sequence[Finding], most: int | None) -> tuple[str, ...]:
    if isinstance(step.said, Unseen):
        return "?", step.part.value, step.name, step.where, _silence(step), ""
    mark = "x" if any(one.step is step for one in found) else "ok"
    text = str(step.said)
    shown = text if most is None or len(text) <= most else text[: most - 3] + "..."
    return mark, step.part.value, step.name, step.where, shown, _ttl(step.said)


def _silence(step: Step) -> str:
    return "no answer" if step.where and not isinstance(step.said, NotAllowed) else "not asked"


def _ttl(said: Reply) -> str:
    return "" if said.ttl is None else str(said.ttl)


def _step_as_json(step: Step, *, found: Sequence[Finding]) -> dict[str, object]:
    finding = next((one for one in found if one.step is step), None)
    said = step.said if isinstance(step.said, Reply) else None
    return {
        "part": step.part.value,
        "name": step.name or None,
        "where": step.where or None,
        "rcode": said.rcode or None if said is not None else None,
        "records": said.records if said is not None else None,
        "ttl": said.ttl if said is not None else None,
        "age": step.itself.age,
        "state": step.itself.state or None,
        "agrees": finding is None,
        "why": finding.why if finding is not None else None,
        "nextStep": finding.next_step if finding is not None else None,
    }

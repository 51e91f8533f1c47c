"""The services of the clusterset as a table for people and as JSON. Pure."""

from collections.abc import Iterator

from mesh_cli.output import as_json
from mesh_cli.services.survey import Shared, SharedService
from mesh_cli.table import age, one_line, table

_HEAD = ("NAMESPACE", "NAME", "TYPE", "PORTS", "EXPORTED BY", "IMPORTED BY", "CONFLICT", "AGE")


def services_as_text(found: Shared, *, wide: bool = False) -> str:
    """A row for each name, a line for each thing that is not as it should be; wide: the addresses too."""
    head = (*_HEAD, "ADDRESSES") if wide else _HEAD
    rows = [_row(one, at=found.at) + ((_addresses(one),) if wide else ()) for one in found.services]
    parts = [table(head, rows) if rows else "nothing is exported"]
    notes = list(_notes(found))
    return "\n\n".join([*parts, "\n".join(notes)] if notes else parts) + "\n"


def services_as_json(found: Shared) -> str:
    """Everything that was found."""
    document = {
        "at": found.at,
        "services": [_told(one) for one in found.services],
        "notSeen": [{"context": one.context, "error": one.error} for one in found.unseen],
    }
    return as_json(document)


def _row(one: SharedService, *, at: str) -> tuple[str, ...]:
    conflicts = sorted({reason for _, reason in one.conflicts})
    return (
        one.namespace,
        one.name,
        one.type,
        ",".join(one.ports),
        ",".join(one.exporters),
        ",".join(one.importers),
        ",".join(map(one_line, conflicts)),
        age(one.since, at=at),
    )


def _addresses(one: SharedService) -> str:
    return " ".join(f"{cluster}={','.join(ips)}" for cluster, ips in one.ips)


def _notes(found: Shared) -> Iterator[str]:
    for one in found.unseen:
        yield f"{one.context}: {one_line(one.error)}"
    for service in found.services:
        name = f"{service.namespace}/{service.name}"
        for cluster, reason in service.withheld:
            yield f"{cluster}: {name} is not exported: {one_line(reason)}"
        for cluster in service.missing:
            yield f"{cluster}: {name} is not imported: the namespace may not be there, or not be for it"


def _told(one: SharedService) -> dict[str, object]:
    return {
        "namespace": one.namespace,
        "name": one.name,
        "type": one.type or None,
        "ports": one.ports,
        "exporters": one.exporters,
        "importers": one.importers,
        "ips": dict(one.ips),
        "withheld": [{"cluster": cluster, "reason": reason} for cluster, reason in one.withheld],
        "conflicts": [{"cluster": cluster, "reason": reason} for cluster, reason in one.conflicts],
        "notImportedBy": one.missing,
        "since": one.since or None,
    }

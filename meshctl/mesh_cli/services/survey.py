"""What is shared, put together from what each cluster holds. Pure: values in, values out.

A cluster knows its own exports and, by its imports, those of its peers; so one cluster alone shows most of
the set, and each further one what it withholds, conflicts with, or has not imported.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mesh_cli.status.survey import NotSeen
from mesh_core.export import CONFLICT, READY
from mesh_core.objects import Condition, ServiceExport, ServiceImport

Key = tuple[str, str]
"""(namespace, name)."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one cluster holds. `cluster` is "" where it is no member."""

    context: str
    cluster: str
    exports: tuple[ServiceExport, ...]
    imports: tuple[ServiceImport, ...]

    @property
    def name(self) -> str:
        """Its id, or in its place the context."""
        return self.cluster or self.context


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedService:
    """One name of the clusterset. `exporters` are those that somebody imports or that say so themselves;
    `withheld` and `conflicts` are (cluster, reason), `ips` (cluster, addresses). `since` is RFC 3339,
    of the oldest export that was seen, else of the oldest import.
    """

    namespace: str
    name: str
    type: str
    ports: tuple[str, ...]
    exporters: tuple[str, ...]
    importers: tuple[str, ...]
    ips: tuple[tuple[str, tuple[str, ...]], ...]
    withheld: tuple[tuple[str, str], ...]
    conflicts: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    since: str


@dataclass(frozen=True, slots=True)
class Shared:
    """All that was found, by namespace and name, and who could not be asked."""

    at: str
    services: tuple[SharedService, ...]
    unseen: tuple[NotSeen, ...]


def shared(held: Sequence[Held], *, unseen: Iterable[NotSeen] = (), at: str, namespace: str = "") -> Shared:
    """The services of `namespace`, of all without one."""
    keys = {one.key for cluster in held for one in (*cluster.exports, *cluster.imports)}
    wanted = sorted(key for key in keys if namespace in ("", key[0]))
    return Shared(at, tuple(_service(key, held=held) for key in wanted), tuple(unseen))


def _service(key: Key, *, held: Sequence[Held]) -> SharedService:
    exports = [(one.name, export) for one in held for export in one.exports if export.key == key]
    imports = [(one.name, found) for one in held for found in one.imports if found.key == key]
    ready = {name for name, export in exports if (said := _said(export, READY)) and said.status == "True"}
    exporters = ready | {entry.cluster for _, found in imports for entry in found.status.clusters}
    importers = [name for name, _ in imports]
    ages = [export.metadata.creation_timestamp for _, export in exports]
    ages = ages or [found.metadata.creation_timestamp for _, found in imports]
    return SharedService(
        namespace=key[0],
        name=key[1],
        type="/".join(sorted({found.spec.type for _, found in imports})),
        ports=tuple(
            sorted({_port(port.port, port.protocol) for _, found in imports for port in found.spec.ports})
        ),
        exporters=tuple(sorted(exporters)),
        importers=tuple(sorted(importers)),
        ips=tuple(sorted((name, found.spec.ips) for name, found in imports if found.spec.ips)),
        withheld=tuple(sorted(_withheld(exports))),
        conflicts=tuple(sorted(_conflicts(exports))),
        missing=tuple(sorted(one.name for one in held if one.name not in importers)) if exporters else (),
        since=min(filter(None, ages), default=""),
    )


def _withheld(exports: Iterable[tuple[str, ServiceExport]]) -> Iterable[tuple[str, str]]:
    """Exports that do not go out, each with the reason."""
    for name, export in exports:
        said = _said(export, READY)
        if said is None:
            yield name, "not looked at yet"
        elif said.status != "True":
            yield name, said.reason


def _conflicts(exports: Iterable[tuple[str, ServiceExport]]) -> Iterable[tuple[str, str]]:
    for name, export in exports:
        said = _said(export, CONFLICT)
        if said is not None and said.status == "True":
            yield name, said.reason


def _said(export: ServiceExport, kind: str) -> Condition | None:
    return next((one for one in export.status.conditions if one.type == kind), None)


def _port(port: int, protocol: str) -> str:
    return f"{port}/{protocol}"

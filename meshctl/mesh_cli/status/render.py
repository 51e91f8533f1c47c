"""Results as text for people and as JSON for programs. Pure: the same result gives the same bytes.

The tables are for reading and may change; the JSON is a promise: keys are only ever added.
"""

from collections.abc import Iterable, Sequence

import msgspec

from mesh_cli.status.survey import ExportSeen, ImportSeen, MemberSeen, NotSeen, PeerSeen, Survey
from mesh_cli.table import age as age
from mesh_cli.table import table as table
from mesh_core.names import CONTROLLER, DNS, GATEWAY
from mesh_core.objects import Condition


def survey_as_json(survey: Survey) -> str:
    """The whole survey; keys in camelCase, times in RFC 3339, absent things null or empty."""
    clusters = [_cluster_as_json(one) for one in survey.clusters]
    text = msgspec.json.encode({"at": survey.at, "clusters": clusters})
    return msgspec.json.format(text, indent=2).decode() + "\n"


def survey_as_text(survey: Survey) -> str:
    """Members, then peers, exports and imports of those that answered, then what is wrong."""
    seen = [one for one in survey.clusters if isinstance(one, MemberSeen)]
    sections = [_members(survey.clusters)]
    sections += filter(None, (_peers(seen, at=survey.at), _exports(seen), _imports(seen)))
    sections += filter(None, ["\n".join(_notes(survey.clusters))])
    return "\n\n".join(sections) + "\n"


def _members(clusters: Sequence[MemberSeen | NotSeen]) -> str:
    head = ("CLUSTER", "CONTEXT", "DOMAIN", "KUBERNETES", "CONTROLLER", "GATEWAY", "DNS")
    rows = []
    for one in clusters:
        match one:
            case MemberSeen():
                counts = {program.name: f"{program.ready}/{program.wanted}" for program in one.programs}
                programs = [counts.get(name, "") for name in (CONTROLLER, GATEWAY, DNS)]
                rows.append([one.cluster, one.context, one.domain, one.server_version, *programs])
            case NotSeen():
                rows.append(["", one.context, "", "not seen", "", "", ""])
    return table(head, rows)


def _peers(seen: Sequence[MemberSeen], *, at: str) -> str:
    head = ("CLUSTER", "PEER", "CONNECTED", "REASON", "LAST CONTACT", "EXPORTS", "LAST SYNC", "GATEWAYS")
    rows = [(one.cluster, *_peer_row(peer, at=at)) for one in seen for peer in one.peers]
    return table(head, rows) if rows else ""


def _peer_row(peer: PeerSeen, *, at: str) -> tuple[str, ...]:
    status = peer.connected.status if peer.connected else "Unknown"
    reason = peer.connected.reason if peer.connected else ""
    return (
        peer.cluster,
        status,
        reason,
        age(peer.last_contact, at=at),
        str(peer.exports),
        age(peer.last_sync, at=at),
        ",".join(peer.gateways),
    )


def _exports(seen: Sequence[MemberSeen]) -> str:
    head = ("CLUSTER", "EXPORT", "VALID", "READY", "CONFLICT")
    rows = [
        (one.cluster, _name(export), *(_state(export, kind) for kind in ("Valid", "Ready", "Conflict")))
        for one in seen
        for export in one.exports
    ]
    return table(head, rows) if rows else ""


def _imports(seen: Sequence[MemberSeen]) -> str:
    head = ("CLUSTER", "IMPORT", "TYPE", "IPS", "PORTS", "FROM")
    rows = [
        (one.cluster, _name(entry), entry.type, *map(",".join, (entry.ips, entry.ports, entry.clusters)))
        for one in seen
        for entry in one.imports
    ]
    return table(head, rows) if rows else ""


def _notes(clusters: Sequence[MemberSeen | NotSeen]) -> Iterable[str]:
    """One line for each thing that is not as it should be."""
    for one in clusters:
        match one:
            case NotSeen():
                yield f"{one.context}: {' '.join(one.error.split())}"
            case MemberSeen():
                if one.why:
                    yield f"{one.context}: not a member: {one.why}"
                for peer in one.peers:
                    if peer.connected is None or peer.connected.status != "True":
                        message = peer.connected.message if peer.connected else "no controller has looked yet"
                        yield f"{one.cluster}: peer {peer.cluster}: {message}"
                for export in one.exports:
                    yield from (f"{one.cluster}: export {_name(export)}: {m}" for m in _complaints(export))


def _complaints(export: ExportSeen) -> Iterable[str]:
    wanted = {"Valid": "True", "Ready": "True", "Conflict": "False"}
    for condition in export.conditions:
        if condition.type in wanted and condition.status != wanted[condition.type]:
            yield f"{condition.type}={condition.status}: {condition.message or condition.reason}"


def _name(one: ExportSeen | ImportSeen) -> str:
    return f"{one.namespace}/{one.name}"


def _state(export: ExportSeen, kind: str) -> str:
    found = next((one for one in export.conditions if one.type == kind), None)
    return f"{found.status} ({found.reason})" if found else ""


def _cluster_as_json(one: MemberSeen | NotSeen) -> dict[str, object]:
    match one:
        case NotSeen():
            return {"context": one.context, "error": one.error}
        case MemberSeen():
            return {
                "context": one.context,
                "cluster": one.cluster or None,
                "domain": one.domain or None,
                "notAMember": one.why or None,
                "serverVersion": one.server_version,
                "programs": [
                    {"name": program.name, "ready": program.ready, "wanted": program.wanted}
                    for program in one.programs
                ],
                "peers": [_peer_as_json(peer) for peer in one.peers],
                "exports": [_export_as_json(export) for export in one.exports],
                "imports": [_import_as_json(entry) for entry in one.imports],
            }


def _peer_as_json(peer: PeerSeen) -> dict[str, object]:
    return {
        "cluster": peer.cluster,
        "gateways": peer.gateways,
        "connected": condition_as_json(peer.connected) if peer.connected else None,
        "exports": peer.exports,
        "lastSync": peer.last_sync or None,
        "lastContact": peer.last_contact or None,
    }


def _export_as_json(export: ExportSeen) -> dict[str, object]:
    return {
        "namespace": export.namespace,
        "name": export.name,
        "conditions": [condition_as_json(one) for one in export.conditions],
    }


def _import_as_json(entry: ImportSeen) -> dict[str, object]:
    return {
        "namespace": entry.namespace,
        "name": entry.name,
        "type": entry.type,
        "ips": entry.ips,
        "ports": entry.ports,
        "clusters": entry.clusters,
        "conditions": [condition_as_json(one) for one in entry.conditions],
    }


def condition_as_json(one: Condition) -> dict[str, object]:
    """As every command shows a condition to programs."""
    return {
        "type": one.type,
        "status": one.status,
        "reason": one.reason,
        "message": one.message,
        "lastTransitionTime": one.last_transition_time or None,
    }

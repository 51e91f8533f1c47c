"""Results as text for people and as JSON for programs. Pure: the same result gives the same bytes.

The tables are for reading and may change; the JSON is a promise: keys are only ever added.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from mesh_cli.output import as_json
from mesh_cli.paint import dim, fail, ok, strong, warn
from mesh_cli.status.links import Standing, link_of, rtt_of
from mesh_cli.status.survey import (
    CertificateSeen,
    ExportSeen,
    ImportSeen,
    MemberSeen,
    NotSeen,
    PeerSeen,
    Program,
    Survey,
)
from mesh_cli.table import age, in_milliseconds, one_line, table
from mesh_core.names import CONTROLLER, DNS, GATEWAY
from mesh_core.objects import Condition

_PAINT: Mapping[Standing, Callable[[str], str]] = {
    Standing.UP: ok,
    Standing.STALE: warn,
    Standing.DOWN: fail,
    Standing.UNKNOWN: dim,
}
_TURNED = ("TURNED LAST", "AGO")
_FINE: Mapping[str, str] = {"Valid": "True", "Ready": "True", "Conflict": "False"}
"""What a condition of an export should say."""


def survey_as_json(survey: Survey) -> str:
    """The whole survey; keys in camelCase, times in RFC 3339, absent things null or empty."""
    return as_json(
        {"at": survey.at, "clusters": [_cluster_as_json(one, at=survey.at) for one in survey.clusters]}
    )


def survey_as_text(survey: Survey, *, wide: bool = False) -> str:
    """How it is in a line, then members, links, exports, imports and certificates, then what is wrong.

    Certificates are shown when they are near their end, and all with `wide`.
    """
    seen = [one for one in survey.clusters if isinstance(one, MemberSeen)]
    sections = [
        _summary(survey),
        _members(survey.clusters, wide=wide),
        _links(seen, at=survey.at, wide=wide),
        _exports(seen, at=survey.at, wide=wide),
        _imports(seen, at=survey.at, wide=wide),
        _certificates(seen, at=survey.at, wide=wide),
        "\n".join(_notes(survey)),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _summary(survey: Survey) -> str:
    seen = [one for one in survey.clusters if isinstance(one, MemberSeen)]
    standings = Counter(link_of(peer, at=one.at or survey.at).standing for one in seen for peer in one.peers)
    exports = [export for one in seen for export in one.exports]
    in_conflict = sum(_is(export.conditions, "Conflict", "True") for export in exports)
    ending = sum(certificate.is_near_expiry for one in seen for certificate in one.certificates)
    members = sum(bool(one.cluster) for one in seen)
    parts = [
        _share(members, len(survey.clusters), "members"),
        "links: " + (", ".join(_counted(standings)) or "none"),
        f"exports: {len(exports)}" + (warn(f", {in_conflict} in conflict") if in_conflict else ""),
        f"imports: {sum(len(one.imports) for one in seen)}",
        warn(f"certificates near expiry: {ending}") if ending else "certificates near expiry: 0",
    ]
    return strong(survey.at) + "   " + "; ".join(parts)


def _counted(standings: Mapping[Standing, int]) -> Iterable[str]:
    for standing in Standing:
        if standings[standing]:
            yield _PAINT[standing](f"{standings[standing]} {standing.value}")


def _share(count: int, wanted: int, what: str) -> str:
    text = f"{count} of {wanted} {what}"
    return ok(text) if count == wanted else fail(text)


def _members(clusters: Sequence[MemberSeen | NotSeen], *, wide: bool) -> str:
    head = ("CLUSTER", "CONTEXT", "KUBERNETES", "CONTROLLER", "GATEWAY", "DNS", "EXPORTS", "IMPORTS")
    rows = []
    for one in clusters:
        match one:
            case MemberSeen():
                counts = {program.name: program for program in one.programs}
                programs = [_ready(counts.get(name)) for name in (CONTROLLER, GATEWAY, DNS)]
                sizes = [str(len(one.exports)), str(len(one.imports))]
                row = [one.cluster, one.context, one.server_version, *programs, *sizes]
                rows.append([*row, one.domain] if wide else row)
            case NotSeen():
                row = ["", one.context, fail("not seen"), "", "", "", "", ""]
                rows.append([*row, ""] if wide else row)
    return table((*head, "DOMAIN") if wide else head, rows)


def _ready(program: Program | None) -> str:
    if program is None:
        return ""
    text = f"{program.ready}/{program.wanted}"
    return text if program.ready >= program.wanted > 0 else fail(text)


def _links(seen: Sequence[MemberSeen], *, at: str, wide: bool) -> str:
    head = ("CLUSTER", "PEER", "LINK", "ACKNOWLEDGED", "RTT", "PATHS", "EXPORTS", "LAST LIST")
    more = ("REVISION", "LAST WORD", "REASON", "GATEWAYS")
    rows = [
        (one.cluster, *_link_row(peer, at=one.at or at), *(_link_more(peer, at=one.at or at) if wide else ()))
        for one in seen
        for peer in one.peers
    ]
    return table((*head, *more) if wide else head, rows) if rows else ""


def _link_row(peer: PeerSeen, *, at: str) -> tuple[str, ...]:
    standing = link_of(peer, at=at).standing
    reachable = sum(path.reachable for path in peer.paths)
    paths = f"{reachable}/{len(peer.paths)}" if peer.paths else ""
    return (
        peer.cluster,
        _PAINT[standing](standing.value),
        age(peer.acknowledged.at, at=at) if peer.acknowledged is not None else "",
        _round_trip(rtt_of(peer)),
        paths if reachable == len(peer.paths) else warn(paths),
        str(peer.exports),
        age(peer.last_sync, at=at),
    )


def _round_trip(seconds: float | None) -> str:
    """A gateway of an older version counts in whole milliseconds, and says a microsecond for none of them."""
    return "<1 ms" if seconds is not None and seconds <= 1e-6 else in_milliseconds(seconds)


def _link_more(peer: PeerSeen, *, at: str) -> tuple[str, ...]:
    return (
        str(peer.acknowledged.revision) if peer.acknowledged is not None else "",
        age(peer.last_contact, at=at),
        peer.connected.reason if peer.connected is not None else "",
        ",".join(peer.gateways),
    )


def _certificates(seen: Sequence[MemberSeen], *, at: str, wide: bool) -> str:
    rows = [
        (one.cluster, certificate.what, certificate.until, _left(certificate, at=one.at or at))
        for one in seen
        for certificate in one.certificates
        if wide or certificate.is_near_expiry
    ]
    return table(("CLUSTER", "CERTIFICATE", "UNTIL", "LEFT"), rows) if rows else ""


def _left(certificate: CertificateSeen, *, at: str) -> str:
    left = "ended" if certificate.until <= at else age(at, at=certificate.until)
    return warn(left) if certificate.is_near_expiry else left


def _exports(seen: Sequence[MemberSeen], *, at: str, wide: bool) -> str:
    head = ("CLUSTER", "EXPORT", "VALID", "READY", "CONFLICT")
    rows = [
        (
            one.cluster,
            _name(export),
            *(_state(export, kind) for kind in ("Valid", "Ready", "Conflict")),
            *(_turned(export.conditions, at=one.at or at) if wide else ()),
        )
        for one in seen
        for export in one.exports
    ]
    return table((*head, *_TURNED) if wide else head, rows) if rows else ""


def _imports(seen: Sequence[MemberSeen], *, at: str, wide: bool) -> str:
    head = ("CLUSTER", "IMPORT", "TYPE", "IPS", "PORTS", "FROM")
    rows = [
        (
            one.cluster,
            _name(entry),
            entry.type,
            *map(",".join, (entry.ips, entry.ports, entry.clusters)),
            *(_turned(entry.conditions, at=one.at or at) if wide else ()),
        )
        for one in seen
        for entry in one.imports
    ]
    return table((*head, *_TURNED) if wide else head, rows) if rows else ""


def _turned(conditions: Sequence[Condition], *, at: str) -> tuple[str, str]:
    """What was said last, and how long ago: at night the first question is what changed."""
    last = max(conditions, key=lambda one: one.last_transition_time, default=None)
    if last is None:
        return "", ""
    return one_line(f"{last.type}={last.status} ({last.reason})"), age(last.last_transition_time, at=at)


def _notes(survey: Survey) -> Iterable[str]:
    """One line for each thing that is not as it should be."""
    for one in survey.clusters:
        match one:
            case NotSeen():
                yield f"{one.context}: {' '.join(one.error.split())}"
            case MemberSeen():
                if one.why:
                    yield f"{one.context}: not a member: {one.why}"
                for peer in one.peers:
                    yield from (
                        f"{one.cluster}: peer {peer.cluster}: {said}"
                        for said in _peer_notes(peer, at=one.at or survey.at)
                    )
                for export in one.exports:
                    yield from (f"{one.cluster}: export {_name(export)}: {m}" for m in _complaints(export))


def _peer_notes(peer: PeerSeen, *, at: str) -> Iterable[str]:
    link = link_of(peer, at=at)
    if link.why:
        yield f"{link.standing.value}: {' '.join(link.why.split())}"
    for one in peer.complaints:
        yield f"{one.type}={one.status}: {' '.join((one.message or one.reason).split())}"


def _complaints(export: ExportSeen) -> Iterable[str]:
    for condition in export.conditions:
        if condition.type in _FINE and condition.status != _FINE[condition.type]:
            said = " ".join((condition.message or condition.reason).split())
            yield f"{condition.type}={condition.status}: {said}"


def _is(conditions: Iterable[Condition], kind: str, status: str) -> bool:
    return any(one.type == kind and one.status == status for one in conditions)


def _name(one: ExportSeen | ImportSeen) -> str:
    return f"{one.namespace}/{one.name}"


def _state(export: ExportSeen, kind: str) -> str:
    found = next((one for one in export.conditions if one.type == kind), None)
    if found is None:
        return ""
    text = f"{found.status} ({found.reason})"
    return text if found.status == _FINE[kind] else warn(text)


def _cluster_as_json(one: MemberSeen | NotSeen, *, at: str) -> dict[str, object]:
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
                "at": one.at or None,
                "peers": [_peer_as_json(peer, at=one.at or at) for peer in one.peers],
                "exports": [_export_as_json(export) for export in one.exports],
                "imports": [_import_as_json(entry) for entry in one.imports],
                "certificates": [
                    {"what": each.what, "until": each.until, "nearExpiry": each.is_near_expiry}
                    for each in one.certificates
                ],
            }


def _peer_as_json(peer: PeerSeen, *, at: str) -> dict[str, object]:
    link = link_of(peer, at=at)
    acknowledged, rtt = peer.acknowledged, rtt_of(peer)
    return {
        "cluster": peer.cluster,
        "gateways": peer.gateways,
        "connected": condition_as_json(peer.connected) if peer.connected else None,
        "exports": peer.exports,
        "lastSync": peer.last_sync or None,
        "lastContact": acknowledged.at if acknowledged else None,
        "lastWord": peer.last_contact or None,
        "link": link.standing.value,
        "why": link.why or None,
        "acknowledged": {"revision": acknowledged.revision, "at": acknowledged.at} if acknowledged else None,
        "rttMs": _in_ms(rtt),
        "paths": [
            {
                "address": path.address,
                "reachable": path.reachable,
                "tunnel": path.tunnel or None,
                "rttMs": _in_ms(path.rtt),
                "problem": path.problem or None,
            }
            for path in peer.paths
        ],
        "complaints": [condition_as_json(one) for one in peer.complaints],
    }


def _in_ms(seconds: float | None) -> float | None:
    return round(seconds * 1000, 3) if seconds is not None else None


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

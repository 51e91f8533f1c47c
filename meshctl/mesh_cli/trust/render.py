"""`trust status` as text for people and as JSON for programs. Pure.

The tables are for reading and may change; the JSON is a promise: keys are only ever added.
"""

from collections.abc import Iterable

import msgspec

from mesh_cli.output import as_json
from mesh_cli.table import table
from mesh_cli.trust.survey import CertificateSeen, ContextAsked, FolderSeen, MemberLine, NotAsked, TrustSeen
from mesh_core.objects.trust import RefusedKey
from mesh_core.trust_statement import Held, held_by

_SHORT = 12
"""Digits of a KeyId that tell keys apart for a person."""


def trust_as_text(seen: TrustSeen) -> str:
    """Who holds what, then roots, members, issuers and what is refused, then what is wrong."""
    sections = [_holders(seen), _roots(seen), _members(seen), _issuers(seen), _refused(seen)]
    sections.append("\n".join(seen.notes))
    return "\n\n".join(filter(None, sections)) + "\n"


def trust_as_json(seen: TrustSeen) -> str:
    """All of it; keys in camelCase, whole KeyIds, absent things null or empty."""
    statement = seen.newest.statement
    rotation = seen.rotation
    content = {
        "at": seen.at,
        "generation": seen.newest.generation,
        "revision": seen.newest.revision,
        "domain": statement.domain if statement else None,
        "rotation": msgspec.to_builtins(rotation) if rotation else None,
        "holders": [_folder_as_json(seen.folder)] if seen.folder else [],
        "contexts": [_context_as_json(one) for one in seen.contexts],
        "roots": [_certificate_as_json(one) for one in seen.roots],
        "members": [_member_as_json(one) for one in seen.members],
        "issuers": [
            {
                "pool": one.pool,
                "holder": one.holder,
                "key": one.key,
                "until": seen.issuers[one.pool].until if one.pool in seen.issuers else None,
            }
            for one in (statement.issuers if statement else ())
        ],
        "below": list(_below(seen)),
        "refused": [_refused_as_json(one) for one in seen.refused],
        "refusedHere": [
            {"context": context, **msgspec.to_builtins(one)} for context, one in seen.refused_here
        ],
        "notes": list(seen.notes),
    }
    return as_json(content)


def short(key: str) -> str:
    """A KeyId as a person reads it."""
    return key[:_SHORT]


def _holders(seen: TrustSeen) -> str:
    rows: list[tuple[str, ...]] = []
    if seen.folder is not None:
        rows.append((f"folder {seen.folder.path}", "", *_numbers(seen.folder.held)))
    for one in seen.contexts:
        match one:
            case NotAsked():
                rows.append((f"context {one.context}", "", "not seen", "", ""))
            case ContextAsked():
                rows.append((f"context {one.context}", one.cluster, *_numbers(held_by(one.bundle))))
    return table(("HELD BY", "CLUSTER", "GENERATION", "REVISION", "PHASE"), rows)


def _numbers(held: Held) -> tuple[str, str, str]:
    statement = held.statement
    if statement is None:
        return "unsigned", "", ""
    phase = statement.rotation.phase if statement.rotation else ""
    return str(statement.generation), str(held.revision or ""), phase


def _roots(seen: TrustSeen) -> str:
    rotation = seen.rotation
    rows = [
        (short(one.key), one.until, "next" if rotation and rotation.root == one.key else "")
        for one in seen.roots
    ]
    return table(("ROOT", "UNTIL", ""), ((a, b, c or " ") for a, b, c in rows)) if rows else ""


def _members(seen: TrustSeen) -> str:
    head = ("MEMBER", "KEY", "BELOW", "UNTIL", "ADMITTED", "GOES BY", "HEARD BY", "")
    rows = [_member_row(one, is_signed=seen.newest.statement is not None) for one in seen.members]
    return table(head, rows) if rows else ""


def _member_row(one: MemberLine, *, is_signed: bool) -> tuple[str, ...]:
    keys = one.entry.keys if one.entry is not None else ()
    certificate = one.certificate
    below = short(certificate.signer) if certificate is not None else ""
    goes_by = f"{one.reported.generation}/{one.reported.revision}" if one.reported else "has not said"
    return (
        one.cluster,
        ",".join(map(short, keys)),
        below or ("an issuer" if is_signed and one.entry is None else ""),
        certificate.until if certificate is not None else "",
        one.entry.admitted if one.entry is not None else "",
        goes_by,
        one.reported.by if one.reported else "",
        "behind" if one.is_behind else " ",
    )


def _issuers(seen: TrustSeen) -> str:
    statement = seen.newest.statement
    if statement is None or not statement.issuers:
        return ""
    rows = [
        (
            one.pool,
            one.holder,
            short(one.key),
            seen.issuers[one.pool].until if one.pool in seen.issuers else "",
        )
        for one in statement.issuers
    ]
    text = table(("POOL", "HOLDER", "KEY", "UNTIL"), rows)
    below = ", ".join(_below(seen))
    return f"{text}\nlet in by an issuer: {below}" if below else text


def _below(seen: TrustSeen) -> Iterable[str]:
    """Who hangs on an issuer and not on the root."""
    if seen.newest.statement is None:
        return ()
    return (one.cluster for one in seen.members if one.entry is None)


def _refused(seen: TrustSeen) -> str:
    rows = [(one.cluster, short(one.key), "everywhere", one.since, one.why) for one in seen.refused]
    rows += [
        (one.cluster, ",".join(map(short, one.keys)), f"in {context}", one.since, one.why)
        for context, one in seen.refused_here
    ]
    return table(("REFUSED", "KEY", "WHERE", "SINCE", "WHY"), rows) if rows else ""


def _folder_as_json(folder: FolderSeen) -> dict[str, object]:
    return {
        "folder": folder.path,
        "generation": folder.held.generation,
        "keyIsHere": folder.key_is_here,
        "unknown": list(folder.unknown),
    }


def _context_as_json(one: ContextAsked | NotAsked) -> dict[str, object]:
    match one:
        case NotAsked():
            return {"context": one.context, "error": one.error}
        case ContextAsked():
            held = held_by(one.bundle)
            return {
                "context": one.context,
                "cluster": one.cluster or None,
                "notAMember": one.why or None,
                "generation": held.generation,
                "revision": held.revision,
                "signed": held.statement is not None,
                "clockAheadSeconds": one.ahead,
            }


def _certificate_as_json(one: CertificateSeen) -> dict[str, object]:
    return {"key": one.key, "until": one.until, "signer": one.signer or None, "due": one.is_due}


def _member_as_json(one: MemberLine) -> dict[str, object]:
    reported = one.reported
    return {
        "cluster": one.cluster,
        "keys": list(one.entry.keys) if one.entry is not None else [],
        "onRoster": one.entry is not None,
        "admitted": one.entry.admitted or None if one.entry is not None else None,
        "certificate": _certificate_as_json(one.certificate) if one.certificate else None,
        "reported": {
            "generation": reported.generation,
            "revision": reported.revision,
            "root": reported.root or None,
            "by": reported.by,
        }
        if reported
        else None,
        "behind": one.is_behind,
    }


def _refused_as_json(one: RefusedKey) -> dict[str, object]:
    return {"cluster": one.cluster, "key": one.key, "since": one.since or None, "why": one.why}

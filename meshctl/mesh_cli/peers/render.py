"""Peers as a table for people and as JSON. Pure."""

from collections.abc import Iterator

from mesh_cli.output import as_json
from mesh_cli.peers.survey import Link, PeerLine, Peers
from mesh_cli.table import age, in_milliseconds, one_line, table

_HEAD = (
    "CLUSTER",
    "PEER",
    "LINK",
    "REASON",
    "LAST CONTACT",
    "LAST SYNC",
    "EXPORTS",
    "RTT",
    "GATEWAYS",
    "AGE",
)
_MORE = ("REVISION", "LAST WORD", "TUNNELS", "ADDRESSES", "TRUST", "CERTIFICATE UNTIL")


def peers_as_text(found: Peers, *, wide: bool = False) -> str:
    """A row for each link as one member sees it, then a line for each thing that is not as it should be."""
    head = (*_HEAD, *_MORE) if wide else _HEAD
    rows = [_row(one, at=found.at) + (_more(one, at=found.at) if wide else ()) for one in found.lines]
    parts = [table(head, rows) if rows else "there are no peers"]
    notes = list(_notes(found))
    return "\n\n".join([*parts, "\n".join(notes)] if notes else parts) + "\n"


def peers_as_json(found: Peers) -> str:
    """Everything that was found."""
    document = {
        "at": found.at,
        "peers": [_told(one) for one in found.lines],
        "notSeen": [{"context": one.context, "error": one.error} for one in found.unseen],
    }
    return as_json(document)


def _row(one: PeerLine, *, at: str) -> tuple[str, ...]:
    return (
        one.member,
        one.peer,
        one.link.value,
        one_line(one.reason),
        age(one.last_contact, at=at),
        age(one.last_sync, at=at),
        str(one.exports),
        in_milliseconds(one.rtt),
        f"{one.reaching}/{one.gateways}",
        age(one.since, at=at),
    )


def _more(one: PeerLine, *, at: str) -> tuple[str, ...]:
    return (
        str(one.revision) if one.last_contact else "",
        age(one.last_word, at=at),
        str(one.tunnels),
        ",".join(one.addresses),
        str(one.trust_generation) if one.trust_generation else "",
        one_line(one.cert_not_after),
    )


def _notes(found: Peers) -> Iterator[str]:
    for unseen in found.unseen:
        yield f"{unseen.context}: {one_line(unseen.error)}"
    for one in found.lines:
        if one.link is not Link.UP:
            yield f"{one.member}: peer {one.peer}: {one_line(one.message)}"
        yield from (f"{one.member}: peer {one.peer}: {one_line(problem)}" for problem in one.problems)


def _told(one: PeerLine) -> dict[str, object]:
    return {
        "cluster": one.member,
        "peer": one.peer,
        "link": one.link.value,
        "reason": one.reason,
        "message": one.message,
        "lastContact": one.last_contact or None,
        "acknowledged": {"revision": one.revision, "at": one.last_contact} if one.last_contact else None,
        "lastWord": one.last_word or None,
        "lastSync": one.last_sync or None,
        "exports": one.exports,
        "rttSeconds": one.rtt,
        "gateways": one.gateways,
        "gatewaysReaching": one.reaching,
        "gatewaysWithTunnel": one.tunnels,
        "addresses": one.addresses,
        "trustGeneration": one.trust_generation or None,
        "certificateNotAfter": one.cert_not_after or None,
        "since": one.since or None,
        "problems": one.problems,
    }

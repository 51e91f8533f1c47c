"""Checks of the ways that gateways' packets take, tried from inside this cluster. Pure."""

from collections.abc import Iterator

from mesh_cli.check.findings import Findings, WayTried
from mesh_cli.check.live import distrusted, domain_of
from mesh_cli.check.peers import nobody
from mesh_cli.check.times import identified, moment, span
from mesh_cli.check.verdict import CouldNotLook, Observed, fail, ok, seen, unknown, warn
from mesh_cli.table import one_line
from mesh_core.identity import NotAnIdentity, sole_identity
from mesh_core.membership import Membership

_LAST = 3600.0
"""Seconds: a leaf is good for a day, and renewed hours before its end."""
_STUCK = "stuck"


def answered(findings: Findings) -> Iterator[Observed]:
    """MESH-PATH-001."""
    membership = _membership(findings)
    for way in seen(findings.tried):
        yield _answered(way, membership=membership)
    yield from _others(findings)


def sizes(findings: Findings) -> Iterator[Observed]:
    """MESH-PATH-002."""
    for way in seen(findings.tried):
        subject = f"way to {way.cluster} at {way.address}"
        advice = f"compare the MTU of all links to {way.address}, and let ICMP 'fragmentation needed' through"
        if way.answer == "shown" and not way.size:
            yield ok(subject, seen="usual packets come through, both ways")
        elif way.answer == "shown":
            yield fail(
                subject,
                seen=f"larger packets get lost: {way.size} bytes of payload come through, the usual do not",
                next_step=advice,
            )
        elif way.answer == _STUCK:
            told = "it takes the connection and answers packets of no size, so no size was found"
            yield unknown(subject, seen=told, next_step="see MESH-PATH-001")
        else:
            yield unknown(subject, seen=f"nothing came back: {way.why}", next_step="see MESH-PATH-001")
    yield from _others(findings)


def ends(findings: Findings) -> Iterator[Observed]:
    """MESH-CERT-004."""
    for peer in sorted(seen(findings.peers), key=lambda one: one.metadata.name):
        told = [(one, moment(one.cert_not_after)) for one in peer.status.gateways if one.cert_not_after]
        for word, end in told:
            subject = f"{peer.metadata.name}, as gateway {word.address} saw it"
            left = (end - findings.there).total_seconds() if end is not None else 0.0
            advice = f"look at MESH-CERT-001 of {peer.metadata.name}: why has it no new leaf?"
            if left <= 0:
                yield fail(subject, seen="its newest certificate ended", next_step=advice)
            elif left < _LAST:
                yield warn(subject, seen=f"its newest certificate ends in {span(left)}", next_step=advice)
            else:
                yield ok(subject, seen=f"its newest certificate ends in {span(left)}")
        if not told:
            yield ok(peer.metadata.name, seen="no gateway here was shown a certificate by it")
    yield from nobody(findings)


def _answered(way: WayTried, *, membership: Membership) -> Observed:
    subject = f"{way.cluster} at {way.address}, from {way.pod}"
    why = one_line(way.why)
    match way.answer:
        case "refused":
            advice = (
                "look whether its gateways run and listen there: MESH-GW-001, MESH-GW-004 of that cluster"
            )
            return fail(subject, seen=f"refuses the connection: {why}", next_step=advice)
        case "silent":
            advice = "a firewall, a route or a wrong address: look at spec.gateways of the MeshPeer"
            return fail(subject, seen=f"does not take a connection: {why}", next_step=advice)
        case "stuck":
            advice = "what takes the connection is no gateway, or it hangs: look at what is in between"
            return fail(subject, seen="takes the connection and says nothing", next_step=advice)
        case "closed":
            advice = "what answers is no gateway, or has no leaf: look at MESH-CERT-001 of that cluster"
            return fail(subject, seen=f"closes without a certificate: {why}", next_step=advice)
    if way.leaf is None:
        return fail(subject, seen="shows what is no certificate", next_step="see MESH-GW-006")
    try:
        identity = sole_identity(way.leaf.uris, domain=domain_of(way.cluster, membership=membership))
    except NotAnIdentity:
        advice = "a load balancer or proxy in between ends TLS: let it pass TCP through (layer 4)"
        told = f"answers as {one_line(identified(way.leaf))}, which is no certificate of ours"
        return fail(subject, seen=told, next_step=advice)
    if identity.cluster != way.cluster:
        advice = "the address belongs to another cluster: run meshctl link again"
        return fail(subject, seen=f"answers as {identity}", next_step=advice)
    if not way.believed:
        advice = distrusted(way.why, cluster=way.cluster)
        return fail(subject, seen=f"answers as {identity}, which is not believed: {why}", next_step=advice)
    return ok(subject, seen=f"answers as {identity}")


def _others(findings: Findings) -> Iterator[Observed]:
    tried = {way.cluster for way in seen(findings.tried)}
    for peer in sorted(one.metadata.name for one in seen(findings.peers)):
        if peer not in tried:
            yield ok(peer, seen="is never dialled from here (spec.dial)")
    yield from nobody(findings)


def _membership(findings: Findings) -> Membership:
    found = seen(findings.member).membership
    if not isinstance(found, Membership):
        raise CouldNotLook(f"this cluster is not a member: {found.why}")
    return found

"""Checks of live handshakes: what the gateways and controllers show to whoever dials them now. Pure.

Both ends of a link are compared: what the peer shows, and what this cluster believes (linkerd2#11668). From
here is not from the cluster: who does not answer this machine may answer the clusters, so silence is UNKNOWN.
"""

from collections.abc import Iterator
from typing import Final

from mesh_cli.check.findings import Answer, Findings, Handshake, Member
from mesh_cli.check.times import identified, validity
from mesh_cli.check.verdict import CouldNotLook, Observed, fail, ok, seen, unknown, warn
from mesh_cli.table import one_line
from mesh_core.identity import Domain, Identity, NotAnIdentity, sole_identity
from mesh_core.membership import Membership, NotAMember
from mesh_core.names import ALPN_PEER, ALPN_TUNNEL
from mesh_core.trust import Chain, refusal

_LAST: Final = 0.2
"""Leaves are renewed when between a third and a quarter of their life is left."""
_PROTOCOL: Final = {"gateway": ALPN_TUNNEL, "controller": ALPN_PEER}


def own_gateway(findings: Findings) -> Iterator[Observed]:
    """MESH-CERT-001."""
    yield from _own(findings, component="gateway")


def own_controller(findings: Findings) -> Iterator[Observed]:
    """MESH-CERT-002."""
    yield from _own(findings, component="controller")


def peers(findings: Findings) -> Iterator[Observed]:
    """MESH-CERT-003."""
    membership = _membership(findings)
    shakes = [one for one in seen(findings.handshakes) if one.cluster != membership.cluster]
    dialled = {one.cluster for one in shakes}
    for shake in shakes:
        yield _peer(shake, membership=membership, findings=findings)
    for peer in seen(findings.peers):
        if peer.metadata.name not in dialled:
            yield ok(
                peer.metadata.name, seen="is never dialled (spec.dial), so it shows nothing to a dialler"
            )
    if not seen(findings.peers):
        advice = "link another member: meshctl link"
        yield warn("peers", seen="there is no MeshPeer, so nobody was dialled", next_step=advice)


def middlebox(findings: Findings) -> Iterator[Observed]:
    """MESH-GW-006."""
    membership = _membership(findings)
    answered = [one for one in seen(findings.handshakes) if one.answer is not Answer.SILENT]
    if not answered:
        raise CouldNotLook("nobody answered this machine at any gateway's address")
    for shake in answered:
        yield _passed(shake, membership=membership)


def domain_of(cluster: str, *, membership: Membership) -> Domain:
    """The domain in which the identities of `cluster` lie: its own, where that was agreed."""
    foreign = membership.trust.foreign.get(cluster)
    return foreign.domain if foreign is not None else membership.domain


def distrusted(why: str, *, cluster: str) -> str:
    """What to do about a chain that OpenSSL does not believe, by its words."""
    if "expired" in why or "not yet valid" in why:
        return f"some certificate is not good now: MESH-TRUST-005 of {cluster}; if all are, MESH-CLOCK-001"
    return "compare the roots of both clusters with meshctl trust status"


def _own(findings: Findings, *, component: str) -> Iterator[Observed]:
    membership = _membership(findings)
    ours = [
        one
        for one in seen(findings.handshakes)
        if one.cluster == membership.cluster and one.component == component
    ]
    if not ours:
        raise CouldNotLook("the gateway's Service has no address that this machine could dial")
    for shake in ours:
        yield _leaf(shake, findings=findings)


def _leaf(shake: Handshake, *, findings: Findings) -> Observed:
    subject = f"{shake.component} of {shake.cluster} at {shake.address}"
    match shake.answer:
        case Answer.SILENT:
            advice = "run meshctl check from where the peers are, or give an address that reaches it"
            return unknown(subject, seen=f"did not answer this machine: {shake.detail}", next_step=advice)
        case Answer.CLOSED:
            return fail(
                subject,
                seen=f"closed the connection before a certificate came: {shake.detail}",
                next_step="look whether it is ready and has a leaf: its log says 'certificate obtained'",
            )
        case Answer.NOT_BELIEVED | Answer.BELIEVED:
            return validity(
                subject,
                shake.shown[0],
                at=findings.at,
                last=_LAST,
                next_step="look into its log why it does not renew, and into the controller's, which signs",
            )


def _peer(shake: Handshake, *, membership: Membership, findings: Findings) -> Observed:
    subject = f"{shake.component} of {shake.cluster} at {shake.address}"
    told = _leaf(shake, findings=findings)
    if not shake.shown:
        return told
    shown = " < ".join(identified(one) for one in shake.shown)
    roster = membership.trust.roster
    keys = ", ".join(sorted(key[:16] for key in (roster or {}).get(shake.cluster, ()))) or "no key"
    believed = f"roster: {keys}" if roster is not None else "no roster is signed"
    if shake.answer is Answer.NOT_BELIEVED:
        return fail(
            subject,
            seen=f"shows {shown}, for which no root here vouches ({shake.detail}; {believed})",
            next_step=distrusted(shake.detail, cluster=shake.cluster),
        )
    why = _refusal(shake, membership=membership)
    if why:
        return fail(
            subject, seen=f"shows {shown}; not believed: {why}", next_step="compare both clusters' trust"
        )
    return Observed(told.verdict, subject, f"{told.seen} ({believed})", told.next_step, told.since)


def _refusal(shake: Handshake, *, membership: Membership) -> str:
    """Why our gateways would not believe it; "" when they would."""
    try:
        identity = sole_identity(shake.shown[0].uris, domain=domain_of(shake.cluster, membership=membership))
    except NotAnIdentity as error:
        return error.what
    if (identity.cluster, identity.component.value) != (shake.cluster, shake.component):
        return f"it is {identity}"
    if len(shake.shown) not in (3, 4):
        return f"its chain has {len(shake.shown)} certificates with the root, not 3 or 4"
    keys = [one.key for one in shake.shown[1:]]
    issuer = keys[1] if len(keys) == 3 else ""
    chain = Chain(root=keys[-1], intermediate=keys[0], issuer=issuer)
    return refusal(identity, chain=chain, trust=membership.trust)


def _passed(shake: Handshake, *, membership: Membership) -> Observed:
    """Whether the bytes came through to a gateway or controller of ours as they are."""
    subject = f"way to the {shake.component} of {shake.cluster} at {shake.address}"
    if shake.answer is Answer.CLOSED:
        return unknown(
            subject,
            seen=f"whoever answers closed it without a certificate: {shake.detail}",
            next_step="look whether the gateway is ready; if it is, what is in between knows no TLS 1.3",
        )
    identity = _identity(shake, membership=membership)
    wanted = _PROTOCOL[shake.component]
    if identity is None:
        return fail(
            subject,
            seen=f"answers as {one_line(identified(shake.shown[0]))}, which is no certificate of ours",
            next_step="a load balancer or proxy in between ends TLS: let it pass TCP through (layer 4)",
        )
    if shake.alpn != wanted:
        return fail(
            subject,
            seen=f"answers as {identity}, but speaks {shake.alpn or 'no protocol'} instead of {wanted}",
            next_step="something in between changes TLS: let it pass TCP through as it is",
        )
    return ok(subject, seen=f"TLS reaches {identity}")


def _identity(shake: Handshake, *, membership: Membership) -> Identity | None:
    try:
        identity = sole_identity(shake.shown[0].uris, domain=domain_of(shake.cluster, membership=membership))
    except NotAnIdentity:
        return None
    return identity if identity.component.value == shake.component else None


def _membership(findings: Findings) -> Membership:
    found: Member = seen(findings.member)
    if isinstance(found.membership, NotAMember):
        raise CouldNotLook(f"this cluster is not a member: {found.membership.why}")
    return found.membership

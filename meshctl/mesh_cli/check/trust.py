"""Checks of trust: who this cluster is, whom it believes, and whether its own papers are good. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from mesh_cli.check.certificate import certificate_seen
from mesh_cli.check.findings import Answer, Certificate, Findings, Handshake, Member
from mesh_cli.check.times import identified, moment, seconds_since, span, validity
from mesh_cli.check.verdict import CouldNotLook, Observed, Unseen, fail, ok, seen, unknown, warn
from mesh_core.membership import Membership, NotAMember
from mesh_core.names import (
    INTERMEDIATE_SECRET,
    SIGNER_INTERMEDIATE,
    SIGNER_ISSUER,
    SIGNER_LEAF,
    SYSTEM_NAMESPACE,
)
from mesh_core.objects import CertificateSigningRequest
from mesh_core.roster import held_issuers
from mesh_core.trust_statement import Held, held_by

PENDING_LIMIT: Final = 60.0
"""Seconds for which a request of ours may wait for an answer."""
_YOUNG: Final = 2 / 3
"""The part of its life in which nobody asks for the next intermediate."""
_BEFORE_MADE: Final = timedelta(minutes=5, seconds=30)
"""A certificate is good from five minutes before it was made, which is after its key was."""
_SIGNERS: Final = "meshctl.dev/"
_SHOWS: Final = "gateway"
"""Of a cluster's two programs that answer, the one whose chain is looked at."""
_RENEW: Final = (
    "run meshctl trust renew --trust DIR --context CONTEXT; for a cluster that waits for its first, "
    "meshctl trust approve"
)
_RENEW_IN_POOL: Final = "run meshctl trust approve, or meshctl accept with a new token"
_RENEW_ISSUER: Final = "run meshctl invite --trust DIR, or meshctl trust renew --trust DIR --context CONTEXT"


def member(findings: Findings) -> Iterator[Observed]:
    """MESH-TRUST-001."""
    found = seen(findings.member)
    match found.membership:
        case NotAMember(why=why):
            what, _, advice = why.partition("; ")
            yield fail(
                "membership",
                seen=what,
                next_step=advice or "run meshctl join or meshctl accept for this cluster",
            )
        case Membership(cluster=cluster, domain=domain):
            yield ok("cluster id", seen=cluster)
            if found.clusterset == domain:
                yield ok("clusterset", seen=domain)
            else:
                yield fail(
                    "clusterset",
                    seen=f"clusterset.k8s.io is {found.clusterset!r}, the TrustBundle's domain {domain!r}",
                    next_step="run meshctl join again for this cluster",
                )


def bundle(findings: Findings) -> Iterator[Observed]:
    """MESH-TRUST-002."""
    found = _member(findings)
    held = _held(found)
    if held.statement is None:
        yield warn(
            "TrustBundle",
            seen="nobody has signed a roster: whoever has a certificate by the root itself is believed",
            next_step="join each member again with the root's folder: the last meshctl join signs it",
        )
        return
    told = f"statement generation {held.generation}, revocations number {held.revision}"
    spec = found.bundle.spec if found.bundle is not None else None
    if spec is not None and spec.generation > held.generation:
        yield fail(
            "TrustBundle",
            seen=f"{told}, but its spec says generation {spec.generation}",
            next_step="apply the TrustBundle again: its statement does not read or is an older one",
        )
        return
    rotation = held.statement.rotation
    if rotation is not None:
        told += f", rotation to root {rotation.root[:16]} in phase {rotation.phase}"
    yield ok("TrustBundle", seen=told, since=held.statement.issued)


def roster(findings: Findings) -> Iterator[Observed]:
    """MESH-TRUST-003."""
    found = _member(findings)
    trust, cluster = _membership(found).trust, _membership(found).cluster
    if trust.roster is None:
        yield ok("roster", seen="none was signed, so nobody is missing in it")
        return
    names = [cluster, *(peer.metadata.name for peer in seen(findings.peers))]
    pooled = bool(trust.issuers)
    for name in names:
        if name in trust.foreign:
            yield ok(name, seen=f"has a root of its own, agreed on for {trust.foreign[name].domain}")
            continue
        keys = trust.roster.get(name, frozenset())
        refused = [trust.refused[key] for key in sorted(keys) if key in trust.refused]
        who = f"{name} (this cluster)" if name == cluster else name
        if refused:
            remove = f"run meshctl peer remove {name}; " if name != cluster else ""
            yield fail(
                who,
                seen=f"its key {refused[0].key[:16]} is refused ({refused[0].why or 'no reason is given'})",
                next_step=f"{remove}to let it in again it needs a new key: docs/trust.md",
                since=refused[0].since,
            )
        elif keys:
            yield ok(who, seen=f"in the roster with key {', '.join(key[:16] for key in sorted(keys))}")
        elif pooled:
            yield ok(who, seen="not in the roster; issuers may have let it in")
        else:
            yield fail(
                who,
                seen=f"generation {trust.generation} of the roster does not know it",
                next_step="run meshctl link with a member that is not behind; if no statement names it, "
                "meshctl trust approve",
            )


def roots(findings: Findings) -> Iterator[Observed]:
    """MESH-TRUST-004."""
    for number, pem in enumerate(_membership(_member(findings)).roots, 1):
        root = certificate_seen(pem)
        if root is None:
            yield fail(f"root {number}", seen="does not read", next_step="apply the TrustBundle again")
        else:
            advice = "begin a rotation of the root: meshctl trust rotate"
            yield validity(f"root {number}", root, at=findings.at, next_step=advice)


def intermediate_life(findings: Findings) -> Iterator[Observed]:
    """MESH-TRUST-005."""
    intermediate, source = _intermediate(findings)
    yield validity(f"intermediate, {source}", intermediate, at=findings.at, next_step=_renewal(findings))


def intermediate_chain(findings: Findings) -> Iterator[Observed]:
    """MESH-TRUST-006."""
    found = _member(findings)
    membership = _membership(found)
    shakes = [one for one in _own_shakes(findings, cluster=membership.cluster) if len(one.shown) > 1]
    if not shakes:
        raise CouldNotLook("none of this cluster's gateways showed its chain to this machine")
    for shake in shakes:
        shown = shake.shown[1]
        keys = (membership.trust.roster or {}).get(membership.cluster)
        told = f"{shake.component} shows {identified(shown)}"
        if shake.answer is not Answer.BELIEVED:
            yield fail(
                shake.address,
                seen=f"{told}, which no root of the TrustBundle stands above ({shake.detail})",
                next_step="compare the roots with meshctl trust status; " + _renewal(findings),
            )
        elif keys is not None and shown.key not in keys:
            known = ", ".join(sorted(key[:16] for key in keys)) or "no key"
            yield fail(
                shake.address,
                seen=f"{told}; the roster has {known} for {membership.cluster}",
                next_step="run meshctl trust approve --context CONTEXT "
                f"--cluster-id {membership.cluster} --trust DIR",
            )
        else:
            yield ok(shake.address, seen=f"{told}, below a root that is believed")


def secret(findings: Findings) -> Iterator[Observed]:
    """MESH-TRUST-007."""
    found, name = seen(findings.secret), f"Secret {SYSTEM_NAMESPACE}/{INTERMEDIATE_SECRET}"
    if found is None:
        advice = "look whether the controller runs: it makes the key and asks for the certificate"
        yield fail(name, seen="is not there", next_step=advice)
    else:
        yield ok(name, seen="is there (its content is not read)", since=found.created)


def requests(findings: Findings) -> Iterator[Observed]:
    """MESH-TRUST-008."""
    ours = [one for one in seen(findings.requests) if one.spec.signer_name.startswith(_SIGNERS)]
    if not ours:
        yield ok("certificate requests", seen="none of ours waits")
    for one in sorted(ours, key=lambda request: request.metadata.name):
        yield _request(one, findings=findings)


def refused_here(findings: Findings) -> Iterator[Observed]:
    """MESH-TRUST-009."""
    found = _member(findings)
    refused = found.bundle.spec.refused_here if found.bundle is not None else ()
    peers = {peer.metadata.name for peer in seen(findings.peers)}
    if not refused:
        yield ok("evicted here", seen="nobody is")
    for one in refused:
        if one.cluster in peers:
            yield fail(
                one.cluster,
                seen="is evicted from this cluster and still has a MeshPeer",
                next_step=f"run meshctl peer evict {one.cluster} again, or take it out of spec.refusedHere",
                since=one.since,
            )
        else:
            yield ok(one.cluster, seen=f"is evicted from this cluster ({one.why or 'no reason is given'})")


def generations(findings: Findings) -> Iterator[Observed]:
    """MESH-TRUST-010."""
    membership = _membership(_member(findings))
    own = membership.trust.generation
    if own == 0:
        yield ok("trust generation", seen="no statement is signed, so nobody is behind")
        return
    for peer in seen(findings.peers):
        name, theirs = peer.metadata.name, peer.status.trust
        if name in membership.trust.foreign:
            yield ok(name, seen="belongs to another clusterset, whose generations are its own")
        elif theirs is None or theirs.generation == 0:
            advice = "wait until it is connected, and look at meshctl trust status"
            yield unknown(name, seen="has not said which generation it goes by", next_step=advice)
        elif theirs.generation < own:
            yield warn(
                name,
                seen=f"goes by generation {theirs.generation}, this cluster by {own}",
                next_step="look whether its controller and all its gateways run: meshctl trust status",
            )
        elif theirs.generation > own:
            yield warn(
                name,
                seen=f"goes by generation {theirs.generation}, this cluster only by {own}",
                next_step="look at the conditions of TrustBundle clusterset in this cluster",
            )
        else:
            yield ok(name, seen=f"goes by generation {own} as this cluster does")
    if not seen(findings.peers):
        yield ok("trust generation", seen=f"this cluster goes by {own}; it has no peer that could be behind")


def issuer(findings: Findings) -> Iterator[Observed]:
    """MESH-TRUST-011."""
    found = _member(findings)
    cluster = _membership(found).cluster
    issuers = held_issuers(_held(found).statement, cluster=cluster)
    if not issuers:
        yield ok("issuer", seen="this cluster lets nobody in")
        return
    for entry in issuers:
        subject, certificate = f"issuer {entry.pool}", certificate_seen(entry.certificate)
        if certificate is None:
            yield fail(subject, seen="its certificate does not read", next_step=_RENEW_ISSUER)
        else:
            yield validity(subject, certificate, at=findings.at, next_step=_RENEW_ISSUER)
    if isinstance(findings.handshakes, Unseen):
        advice = "see MESH-CERT-003"
        yield unknown("what it let in", seen=findings.handshakes.why, next_step=advice)
        return
    keys = {entry.key for entry in issuers}
    for shake in findings.handshakes:
        above = [one.key for one in shake.shown[2:]]
        if shake.component == _SHOWS and keys.intersection(above):
            subject = f"{shake.cluster}, which it let in, at {shake.address}"
            yield validity(subject, shake.shown[1], at=findings.at, next_step=_RENEW_IN_POOL)


def _member(findings: Findings) -> Member:
    return seen(findings.member)


def _membership(found: Member) -> Membership:
    """Raises CouldNotLook for who is no member: MESH-TRUST-001 says what to do about that."""
    if isinstance(found.membership, NotAMember):
        raise CouldNotLook(f"this cluster is not a member: {found.membership.why}")
    return found.membership


def _held(found: Member) -> Held:
    if found.bundle is None:
        raise CouldNotLook("there is no TrustBundle clusterset")
    return held_by(found.bundle)


def _own_shakes(findings: Findings, *, cluster: str) -> list[Handshake]:
    return [one for one in seen(findings.handshakes) if one.cluster == cluster]


def _intermediate(findings: Findings) -> tuple[Certificate, str]:
    """What this cluster signs with, as somebody could see it who may not read the Secret."""
    membership = _membership(_member(findings))
    if not isinstance(findings.handshakes, Unseen):
        for shake in _own_shakes(findings, cluster=membership.cluster):
            if len(shake.shown) > 1:
                return shake.shown[1], f"as the {shake.component} at {shake.address} shows it"
    # In a pool that certificate is the issuer's.
    named = membership.certificate if not membership.pool else ""
    if named and (listed := certificate_seen(named)) is not None:
        return listed, "as the roster has it"
    raise CouldNotLook(
        "no gateway of this cluster showed it to this machine, and no roster has it; its Secret is not read"
    )


def _renewal(findings: Findings) -> str:
    """How this cluster gets another intermediate: `renew` goes by the roster, which no pool is on."""
    found = findings.member.membership if isinstance(findings.member, Member) else None
    return _RENEW_IN_POOL if isinstance(found, Membership) and found.pool else _RENEW


def _good_until(signer: str, *, findings: Findings) -> datetime | None:
    """The end of what is in force of that signer's, None where nothing that is good now was seen."""
    try:
        ends = [one.end for one in _in_force(signer, findings=findings) if one.start <= findings.at < one.end]
    except CouldNotLook:
        return None
    return max(ends, default=None)


def _key_is_lost(one: CertificateSigningRequest, *, findings: Findings) -> bool:
    """Whether the Secret was made anew after the intermediate in force, and asks for another: nobody reads
    what is in it. A Secret of a backup asks for none, and a renewal or a new root keeps the Secret."""
    secret = findings.secret
    if (
        secret is None
        or isinstance(secret, Unseen)
        or _good_until(SIGNER_INTERMEDIATE, findings=findings) is None
    ):
        return False
    used, made = _intermediate(findings)[0], moment(secret.created)
    asked = moment(one.metadata.creation_timestamp)
    if made is None or asked is None or asked < made:
        return False
    is_early = findings.at - used.start < (used.end - used.start) * _YOUNG
    return is_early and made - used.start > _BEFORE_MADE


def _in_force(signer: str, *, findings: Findings) -> list[Certificate]:
    if signer == SIGNER_INTERMEDIATE:
        return [_intermediate(findings)[0]]
    if signer != SIGNER_ISSUER:
        return []
    found = _member(findings)
    issuers = held_issuers(_held(found).statement, cluster=_membership(found).cluster)
    return [one for entry in issuers if (one := certificate_seen(entry.certificate)) is not None]


def _request(one: CertificateSigningRequest, *, findings: Findings) -> Observed:
    name, signer = one.metadata.name, one.spec.signer_name
    age = seconds_since(one.metadata.creation_timestamp, at=findings.there)
    kinds = {condition.type: condition for condition in one.status.conditions}
    since = one.metadata.creation_timestamp if moment(one.metadata.creation_timestamp) else ""
    refused = kinds.get("Denied") or kinds.get("Failed")
    if refused is not None:
        return fail(
            name,
            seen=f"{signer} was refused: {refused.message or refused.reason or 'no reason is given'}",
            next_step="look who asked, then delete the request, so that it is asked again",
            since=since,
        )
    if one.status.certificate is not None:
        return ok(name, seen=f"{signer} was answered", since=since)
    if signer == SIGNER_INTERMEDIATE and _key_is_lost(one, findings=findings):
        told = (
            "waits before its time, by a new key: that of the one in force is gone, so no leaf can be signed"
        )
        return fail(name, seen=f"{signer} {told}", next_step=_renewal(findings), since=since)
    if age is None or age > PENDING_LIMIT:
        state = "approved but not signed" if "Approved" in kinds else "neither approved nor denied"
        advice = {
            SIGNER_LEAF: "look into the log of the controller, which signs it",
            SIGNER_INTERMEDIATE: _renewal(findings),
            SIGNER_ISSUER: _RENEW_ISSUER,
        }.get(signer, "look into the log of the controller")
        waits = f"for {span(age)}" if age is not None else "since nobody knows when"
        told, until = f"{signer} waits {waits}, {state}", _good_until(signer, findings=findings)
        if until is not None:
            # From two thirds of its life on: it is asked for in time, and a person comes to it.
            told += f"; the one in force is good for {span((until - findings.at).total_seconds())}"
            return warn(name, seen=told, next_step=advice, since=since)
        return fail(name, seen=told, next_step=advice, since=since)
    return ok(name, seen=f"{signer} was asked for {span(age)} ago", since=since)

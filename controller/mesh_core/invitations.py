"""Invitations as the inviting cluster keeps them, and what becomes of somebody who comes with one. Pure.

Secret meshctl-system/meshctl-invitations: one data key for each invitation, named by its id; JSON of
`Invitation`. What it holds is the key of proofs, never the secret of a token.

1. Nobody is told anything before he has proved that he holds the token: an id that is not known, and a proof
   that is wrong, are one refusal and take one time.
2. A use is taken once, whoever answers: who comes again with the same key for the same id gets his answer
   again, and that takes no further use.
3. An id belongs to one key: of two that want it the first gets it, and one that the root has admitted, or
   that is a peer here already, is nobody else's. So it stays while anybody could believe the first one's
   certificate: until that has ended, or its key is refused everywhere. Before that the id goes back to the
   same cluster alone (UID of its kube-system), and not before our operator has deleted the MeshPeer that was
   made for it. Where there never was one, the first one may be about to come in.
4. An invitation that is over is forgotten after a week, so that `meshctl invite --list` can say what became
   of it; later where a certificate that was given for it is still good.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from mesh_core.conditions import rfc3339
from mesh_core.identity import ClusterId, Domain, InvalidName, cluster_id, identity_host
from mesh_core.join_wire import Accept, JoinCode, Refused, Request, proof_of
from mesh_core.objects import PeerGateway, Secret

MOST_INVITATIONS: Final = 64
"""At a time, with those that are over and not forgotten yet: they lie in one object."""
MOST_USES: Final = 256
LONGEST_LIFE: Final = timedelta(days=7)
REMEMBERED: Final = timedelta(days=7)
MOST_SKEW: Final = timedelta(minutes=5)
"""As far as certificates allow for (`lifetimes.BACKDATE`)."""
REPEATS: Final = timedelta(minutes=2)
"""How long a used-up invitation still answers the one who used it, should the answer have been lost."""
_LONGEST_HOST: Final = 253 - len("controller.")
_OFF_ROSTER: Final = "is gone, take it off the roster (meshctl trust evict)"
_NOBODYS_KEY: Final = hashlib.sha256(b"nobody's").digest()

Short = Annotated[str, Meta(max_length=253)]


class Taken(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One use: by which cluster (id, UID of kube-system, KeyId of its intermediate), and when (RFC 3339).

    `until` is when its certificate ends at the latest, `peer` the UID of the MeshPeer that was there for it
    when it was let in; both are "" where an earlier version has written it.
    """

    cluster: Short
    uid: Short
    key: Short
    at: Short
    until: Short = ""
    peer: Short = ""


class Invitation(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """`key` is `invitation_token.key_of` in hexadecimal, `uses` how many are left, `expires` RFC 3339.

    `cluster` is the only id that may come with it, "" for any. `gateways` are where the newcomer shall dial
    us. With a `network` the newcomer may be on it, and `pod_cidrs` say where our pods lie there.
    """

    key: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    uses: Annotated[int, Meta(ge=0, le=MOST_USES)]
    expires: Short
    cluster: Short = ""
    made: Short = ""
    gateways: tuple[PeerGateway, ...] = ()
    network: Short = ""
    pod_cidrs: tuple[Short, ...] = msgspec.field(default=(), name="podCIDRs")
    taken: tuple[Taken, ...] = ()
    revoked: bool = False

    def __repr__(self) -> str:
        # Whoever has the key can come in: it must not reach a log by way of a default repr.
        return f"Invitation(uses={self.uses}, expires={self.expires}, taken={len(self.taken)})"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the inviting cluster knows when somebody comes.

    `members` are the ids of the roster, `pools` those of issuers, `pool` is our own issuer's. `keys` maps the
    ids of peers that are here already to the KeyIds that they are known by, none where it is not known.
    `refused` are the KeyIds that nobody believes any more. `peer` is the UID of the MeshPeer of the id that
    is asked for, "" where there is none. `until` is when a certificate that is given now ends at the latest.
    """

    cluster: ClusterId
    domain: Domain
    pool: str
    members: frozenset[str] = frozenset()
    pools: frozenset[str] = frozenset()
    keys: Mapping[str, frozenset[str]] | None = None
    refused: frozenset[str] = frozenset()
    peer: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class Taking:
    """Let in: `invitation` is what is to be stored before the answer, None where nothing has changed."""

    cluster: ClusterId
    invitation: Invitation | None


def write_invitation(invitation: Invitation) -> bytes:
    """As it is stored."""
    return msgspec.json.encode(invitation)


def read_invitation(content: bytes) -> Invitation | None:
    """What was stored, None when it does not read."""
    try:
        found = msgspec.json.decode(content, type=Invitation)
        for text in (found.expires, *(one.at for one in found.taken), *_ends(found)):
            _moment(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return None
    return found


def invitations_in(secret: Secret | None) -> dict[str, Invitation]:
    """The invitations by id; what does not read is left out."""
    found: dict[str, Invitation] = {}
    for name, text in sorted(secret.data.items()) if secret is not None else ():
        try:
            invitation = read_invitation(base64.b64decode(text, validate=True))
        except binascii.Error:
            continue
        if invitation is not None:
            found[name] = invitation
    return found


def has_ended(invitation: Invitation, *, now: datetime) -> bool:
    """Whether its time is over."""
    return now >= _moment(invitation.expires)


def is_open(invitation: Invitation, *, now: datetime) -> bool:
    """Whether somebody may still come with it, if only to hear his answer again."""
    if invitation.revoked or has_ended(invitation, now=now):
        return False
    return invitation.uses > 0 or any(now - _moment(one.at) <= REPEATS for one in invitation.taken)


def next_end(invitations: Iterable[Invitation], *, now: datetime) -> float | None:
    """Seconds until one of those that are open ends; None when none is."""
    ends: list[datetime] = []
    for one in invitations:
        if is_open(one, now=now):
            last = max((_moment(use.at) for use in one.taken), default=now)
            ends.append(_moment(one.expires) if one.uses else min(_moment(one.expires), last + REPEATS))
    return max(0.0, (min(ends) - now).total_seconds()) if ends else None


def is_forgotten(invitation: Invitation, *, now: datetime) -> bool:
    """Whether nobody has to know of it any more."""
    ends = (_moment(text) for text in _ends(invitation))
    return now >= max((_moment(invitation.expires) + REMEMBERED, *ends))


def opened(
    accept: Accept, *, challenge: bytes, invitations: Mapping[str, Invitation], cluster: ClusterId
) -> Invitation | Refused:
    """The invitation whose token the sender of `accept` holds; `cluster` is our own."""
    invitation = invitations.get(accept.invitation)
    key = bytes.fromhex(invitation.key) if invitation is not None else _NOBODYS_KEY
    proved = hmac.compare_digest(proof_of(accept, key=key, challenge=challenge), accept.proof)
    if invitation is None or not proved:
        return _refused(
            JoinCode.INVITATION_UNKNOWN,
            "nobody here knows this invitation",
            step=f"ask for a new token (meshctl invite, for {cluster})",
        )
    return invitation


def judge(
    request: Request,
    *,
    key: str,
    invitation: Invitation,
    others: Mapping[str, Invitation],
    here: Surroundings,
    now: datetime,
) -> Taking | Refused:
    """What becomes of `request` for the KeyId `key` by the holder of `invitation`, one of `others`."""
    return (
        _bad_clock(request, now=now)
        or _wrong_place(request, here=here)
        or _over(invitation, request=request, key=key, now=now)
        or _wrong_id(request, key=key, invitation=invitation, others=others, here=here, now=now)
        or _taking(request, key=key, invitation=invitation, here=here, now=now)
    )


def met(invitation: Invitation, *, cluster: str, key: str, peer: str) -> Invitation | None:
    """The same once there is a MeshPeer of UID `peer` for that use; None when it says so already."""
    taken = tuple(
        replace(use, peer=peer) if (use.cluster, use.key) == (cluster, key) else use
        for use in invitation.taken
    )
    return replace(invitation, taken=taken) if taken != invitation.taken else None


def _bad_clock(request: Request, *, now: datetime) -> Refused | None:
    try:
        theirs = datetime.fromisoformat(request.clock)
        skew = abs(theirs - now)
    except (ValueError, TypeError, OverflowError):
        return _refused(JoinCode.BAD_REQUEST, "the clock's time does not read", step="use the same version")
    if skew <= MOST_SKEW:
        return None
    return _refused(
        JoinCode.CLOCK_SKEW,
        f"the clocks differ by {skew.total_seconds():.0f} s: {rfc3339(theirs)} in {request.cluster}, "
        f"{rfc3339(now)} here",
        step="set the clock that is wrong, and accept again",
    )


def _wrong_place(request: Request, *, here: Surroundings) -> Refused | None:
    if request.domain == here.domain:
        return None
    return _refused(
        JoinCode.WRONG_CLUSTERSET,
        f"this is a member of {here.domain}, not {request.domain}",
        step="use a token of the clusterset that is meant",
    )


def _over(invitation: Invitation, *, request: Request, key: str, now: datetime) -> Refused | None:
    step = "ask for a new token: meshctl invite"
    if invitation.revoked:
        return _refused(JoinCode.INVITATION_REVOKED, "the invitation was revoked", step=step)
    if has_ended(invitation, now=now):
        return _refused(
            JoinCode.INVITATION_EXPIRED,
            f"the invitation ended at {invitation.expires}; it is {rfc3339(now)} here",
            step=step,
        )
    if invitation.uses == 0 and not _is_repeat(request, key=key, invitation=invitation):
        users = ", ".join(sorted({one.cluster for one in invitation.taken}))
        return _refused(JoinCode.INVITATION_USED, f"the invitation was used by {users}", step=step)
    return None


def _wrong_id(
    request: Request,
    *,
    key: str,
    invitation: Invitation,
    others: Mapping[str, Invitation],
    here: Surroundings,
    now: datetime,
) -> Refused | None:
    wanted = request.cluster
    try:
        host = identity_host(cluster_id(wanted), domain=here.domain, pool=here.pool)
    except InvalidName as error:
        return _refused(JoinCode.BAD_REQUEST, error.what, step=error.next_step)
    if invitation.cluster and invitation.cluster != wanted:
        return _refused(
            JoinCode.CLUSTER_ID_NOT_ALLOWED,
            f"the invitation is for {invitation.cluster}, not for {wanted}",
            step=f"accept with --cluster-id {invitation.cluster}, or ask for another token",
        )
    if len(host) > _LONGEST_HOST:
        return _refused(
            JoinCode.CLUSTER_ID_NOT_ALLOWED, f"the name {host[:80]}... is too long", step="take a shorter id"
        )
    if wanted in {here.cluster, *here.members, *here.pools}:
        return _taken(wanted, "belongs to a member or a pool of the clusterset", gone=_OFF_ROSTER)
    known = (here.keys or {}).get(wanted)
    # By whichever invitation it came in before: so another one renews what the first has given.
    mine = any(
        _is_of(use, request=request, key=key) and use.peer in ("", here.peer)
        for one in others.values()
        for use in one.taken
    )
    if known is not None and key not in known and not mine:
        return _taken(wanted, "belongs to a peer of the inviting cluster that has another key")
    rivals = (
        use
        for one in others.values()
        if not is_forgotten(one, now=now)
        for use in one.taken
        if use.cluster == wanted and use.key != key and not _is_over(use, here=here, now=now)
    )
    for use in rivals:
        if not _is_given_back(use, request=request, here=here):
            return _rival(use, request=request)
    return None


def _is_over(use: Taken, *, here: Surroundings, now: datetime) -> bool:
    """Whether nobody can believe any more what that use has given."""
    return use.key in here.refused or (use.until != "" and now >= _moment(use.until))


def _is_given_back(use: Taken, *, request: Request, here: Surroundings) -> bool:
    """Whether our operator has unlinked that cluster, and it is the very one that comes again."""
    is_unlinked = use.peer != "" and use.peer != here.peer
    return is_unlinked and use.uid != "" and use.uid == request.uid


def _rival(use: Taken, *, request: Request) -> Refused:
    """For who comes with another key than that use was given to."""
    end = f", or wait until {use.until}, when its certificate has ended" if use.until else ""
    refuse = f"meshctl trust evict {use.cluster} --key {use.key}"
    if use.uid == request.uid and use.peer == "":
        why = "was given to this cluster before, with another key, and may be in use"
    else:
        why = "was given to another cluster by an invitation"
    return _taken(use.cluster, why, gone=f"is gone, have its key refused everywhere ({refuse}){end}")


def _taken(cluster: str, why: str, *, gone: str = "") -> Refused:
    gone = (
        gone or f"is gone or this very one, unlink it where you were invited (meshctl peer remove {cluster})"
    )
    return _refused(
        JoinCode.CLUSTER_ID_TAKEN,
        f"the id {cluster} {why}",
        step=f"accept with another --cluster-id, or, if that cluster {gone}",
    )


def _taking(
    request: Request, *, key: str, invitation: Invitation, here: Surroundings, now: datetime
) -> Taking:
    cluster = ClusterId(request.cluster)
    if _is_repeat(request, key=key, invitation=invitation):
        # It takes no further use. But what is given now may be good for longer than what was given first.
        taken = tuple(
            replace(use, until=here.until)
            if _is_of(use, request=request, key=key) and use.until < here.until
            else use
            for use in invitation.taken
        )
        return Taking(cluster, replace(invitation, taken=taken) if taken != invitation.taken else None)
    use = Taken(cluster=request.cluster, uid=request.uid, key=key, at=rfc3339(now), until=here.until)
    left = invitation.uses - 1
    return Taking(cluster, replace(invitation, uses=left, taken=(*invitation.taken, use)))


def _is_repeat(request: Request, *, key: str, invitation: Invitation) -> bool:
    return any(_is_of(use, request=request, key=key) for use in invitation.taken)


def _is_of(use: Taken, *, request: Request, key: str) -> bool:
    return (use.cluster, use.key) == (request.cluster, key)


def _refused(code: JoinCode, words: str, *, step: str) -> Refused:
    return Refused(code=code, words=words, step=step)


def _ends(invitation: Invitation) -> list[str]:
    """When the certificates that were given for it end, as far as that was noted."""
    return [use.until for use in invitation.taken if use.until]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

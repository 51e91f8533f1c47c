"""What becomes of a claim: a CertificateSigningRequest by which a cluster wants in, or stays in.

1. The API server vouches for who asks (`username`), the request's own signature for who holds the key. All
   else in a claim is only said, and compared.
2. A bootstrap token lets in one key under one name, and the first that comes with it is that one.
3. A name belongs to the key that is pinned to it, until a person accepts another one by its fingerprint.
   A name that was accepted before anybody came waits for a token that was made for it: whoever else holds
   a token of the set cannot take the place that somebody was let in for.
4. A claim that is decided stays decided; a request that is not labelled as a claim is nobody's business here.
5. The skew is judged by the API server's time at which the claim came, so that a later look, or another
   hub, judges the same.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from mesh_core.errors import UserError
from mesh_core.identity import cluster_id
from mesh_placement.decide.bootstrap_token import TokenFacts, id_of_user
from mesh_placement.names import (
    AGENT_CREDENTIAL,
    ANNOTATION_ACCEPT_KEY,
    CLAIM_LIFE_SECONDS,
    CLAIM_USAGES,
    SIGNER_CLIENT,
    USER_GROUP,
    USER_PREFIX,
    key_group,
)
from mesh_placement.objects import ClusterRegistration, Driver, Mode

MOST_SKEW: Final = timedelta(seconds=30)
_ANSWER_KEPT = timedelta(minutes=5)
_REFUSAL_KEPT = timedelta(hours=1)
# A token that waits for a person with its claim is kept at least so long.
_PROLONGED_WHEN = timedelta(hours=1)
_PROLONGED_BY = timedelta(hours=24)


class ClaimRefusal(Enum):
    """Reasons of a claim's condition Denied."""

    UNREADABLE = "RequestUnreadable"
    SUBJECT = "SubjectMismatch"
    USAGES = "UsagesNotAllowed"
    LIFE = "LifeTooLong"
    REQUESTER = "RequesterNotAllowed"
    TOKEN_UNKNOWN = "TokenUnknown"
    TOKEN_EXPIRED = "TokenExpired"
    TOKEN_USED = "TokenUsed"
    TOKEN_OF_ANOTHER = "TokenOfAnother"
    TOKEN_NOT_BOUND = "TokenNotBound"
    SET_UNKNOWN = "ClusterSetUnknown"
    SET_MISMATCH = "ClusterSetMismatch"
    CLOCK = "ClockSkew"
    LEAVING = "Leaving"
    UID_IN_USE = "ClusterUIDInUse"
    UID_CHANGED = "ClusterUIDChanged"
    KEY = "KeyMismatch"
    DRIVER = "DriverMismatch"
    NOT_REGISTERED = "NotRegistered"
    NOT_ACCEPTED = "NotAccepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim as it was read. `clock` is None where it says none that reads; `created` is the API server's.

    `expiration_seconds` is None where it asks for the signer's most.
    """

    name: str
    cluster: str
    username: str
    signer: str
    usages: tuple[str, ...]
    common_name: str
    organisations: tuple[str, ...]
    fingerprint: str
    cluster_uid: str
    mode: Mode
    clock: datetime | None
    created: datetime
    expiration_seconds: int | None = None
    approved: bool = False
    denied: bool = False
    decided_at: datetime | None = None

    @property
    def decided(self) -> bool:
        """Whether somebody has answered it."""
        return self.approved or self.denied

    @property
    def driver(self) -> Driver:
        """The kind of credential that it is for."""
        return "csr" if self.signer == SIGNER_CLIENT else "token"

    @property
    def mark(self) -> str:
        """How its token notes who came with it."""
        return f"{self.cluster}/{self.fingerprint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a claim is judged by. `token` is the one that its user shows; `set_is_known` whether the token's
    ClusterSet exists; `uid_holder` another registration with the same kube-system UID, "" when none has."""

    token: TokenFacts | None
    registration: ClusterRegistration | None
    set_is_known: bool
    uid_holder: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Refuse:
    """Deny it; `message` says what to do."""

    reason: ClaimRefusal
    message: str


@dataclass(frozen=True, slots=True)
class Admit:
    """It may have the name: pin it, and approve it once the registration is accepted."""

    token: TokenFacts


@dataclass(frozen=True, slots=True)
class Renew:
    """A member renews its certificate: approve it."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing is to be done."""


Verdict = Refuse | Admit | Renew | Leave


def judge_claim(claim: Claim, *, around: Around) -> Verdict:
    """What the hub does with `claim`."""
    if claim.decided:
        return Leave()
    refusal = _subject(claim) or _wish(claim)
    if refusal is not None:
        return refusal
    if claim.username == USER_PREFIX + claim.cluster:
        return _renewal(claim, around.registration)
    token = around.token
    if token is None or token.id != id_of_user(claim.username):
        return _without_token(claim)
    return _token(claim, token, around) or _member(claim, token, around) or Admit(token)


def life_left(claim: Claim, *, now: datetime) -> timedelta | None:
    """How long a decided claim is still kept, not positive when it may go; None while it is not decided.

    Whoever was refused reads why, and may ask again afterwards; a renewal needs the name soon again.
    """
    if not claim.decided:
        return None
    return (claim.decided_at or claim.created) + (_REFUSAL_KEPT if claim.denied else _ANSWER_KEPT) - now


def prolonged(token: TokenFacts, *, now: datetime) -> datetime | None:
    """Until when a claimed token is to be good, while a person has not accepted; None: it is long enough."""
    if token.expires is None or not token.claimed_by or token.expires - now > _PROLONGED_WHEN:
        return None
    return now + _PROLONGED_BY


def _subject(claim: Claim) -> Refuse | None:
    try:
        cluster_id(claim.cluster)
    except UserError as error:
        return Refuse(ClaimRefusal.SUBJECT, str(error))
    wanted = USER_PREFIX + claim.cluster
    groups = (USER_GROUP, key_group(claim.fingerprint))
    if claim.common_name != wanted or claim.organisations != groups:
        return Refuse(
            ClaimRefusal.SUBJECT,
            f"the subject is not CN={wanted}, O={', O='.join(groups)}; ask with exactly that one",
        )
    return None


def _wish(claim: Claim) -> Refuse | None:
    if sorted(claim.usages) != sorted(CLAIM_USAGES):
        return Refuse(
            ClaimRefusal.USAGES,
            f"an agent's certificate is for {' and '.join(CLAIM_USAGES)}, nothing more or less",
        )
    seconds = claim.expiration_seconds
    if claim.driver == "csr" and (seconds is None or seconds > CLAIM_LIFE_SECONDS):
        return Refuse(
            ClaimRefusal.LIFE,
            f"an agent's certificate lives {CLAIM_LIFE_SECONDS} seconds at most; set spec.expirationSeconds",
        )
    return None


def _renewal(claim: Claim, registration: ClusterRegistration | None) -> Verdict:
    if registration is None:
        return Refuse(
            ClaimRefusal.NOT_REGISTERED,
            f"{claim.cluster} is not registered (any more); register it again with a new token",
        )
    if not registration.spec.accepted:
        return Refuse(
            ClaimRefusal.NOT_ACCEPTED,
            f"{claim.cluster} is not accepted (any more); have it accepted with "
            f"meshctl clusters accept {claim.cluster}",
        )
    if registration.status.id.key_fingerprint != claim.fingerprint or claim.driver != "csr":
        return Refuse(
            ClaimRefusal.KEY,
            f"{claim.cluster} renews with the key that joined only; for another key take a new token, and "
            f"meshctl clusters accept {claim.cluster} --new-key {claim.fingerprint}",
        )
    return Renew()


def _without_token(claim: Claim) -> Refuse:
    shown = id_of_user(claim.username)
    if shown is None:
        return Refuse(
            ClaimRefusal.REQUESTER,
            f"{claim.username or 'nobody'} may not claim {claim.cluster}; claim with a bootstrap token",
        )
    return Refuse(
        ClaimRefusal.TOKEN_UNKNOWN,
        f"the token {shown} is none of this hub's ClusterSets; make one with meshctl token create",
    )


def _token(claim: Claim, token: TokenFacts, around: Around) -> Refuse | None:
    if not token.is_living(now=around.now):
        return Refuse(
            ClaimRefusal.TOKEN_EXPIRED,
            f"the token {token.id} has expired; make another one with meshctl token create",
        )
    if token.claimed_by not in ("", claim.mark):
        cluster = token.claimed_by.partition("/")[0]
        return Refuse(
            ClaimRefusal.TOKEN_USED,
            f"somebody came with the token {token.id} before, as {cluster}; if that was not you, revoke it "
            f"(meshctl token revoke {token.id}) and refuse {cluster}, then make another one",
        )
    if not around.set_is_known:
        return Refuse(
            ClaimRefusal.SET_UNKNOWN,
            f"there is no ClusterSet {token.cluster_set}, for which the token {token.id} is; make it first",
        )
    return _clock(claim)


def _clock(claim: Claim) -> Refuse | None:
    if claim.clock is None:
        return Refuse(ClaimRefusal.CLOCK, "the claim does not say its time; use our agent")
    skew = claim.clock - claim.created
    if abs(skew) <= MOST_SKEW:
        return None
    seconds = round(abs(skew).total_seconds())
    side = "ahead of" if skew > timedelta(0) else "behind"
    return Refuse(
        ClaimRefusal.CLOCK,
        f"the member's clock is {seconds} s {side} the hub's, and {MOST_SKEW.seconds} s are allowed; "
        "set both by NTP",
    )


def _member(claim: Claim, token: TokenFacts, around: Around) -> Refuse | None:
    """Whether it may have the name."""
    if not claim.cluster_uid:
        return Refuse(
            ClaimRefusal.UNREADABLE, "the claim does not say the UID of its kube-system; use our agent"
        )
    if around.uid_holder:
        return Refuse(
            ClaimRefusal.UID_IN_USE,
            f"this very cluster is registered as {around.uid_holder}; let that leave first "
            f"(meshctl clusters leave {around.uid_holder})",
        )
    if token.cluster not in ("", claim.cluster):
        return Refuse(
            ClaimRefusal.TOKEN_OF_ANOTHER,
            f"the token {token.id} is for {token.cluster} alone; make one with "
            f"meshctl token create --cluster-id {claim.cluster}",
        )
    registration = around.registration
    if registration is None:
        return None
    if registration.metadata.deletion_timestamp is not None:
        return Refuse(
            ClaimRefusal.LEAVING, f"{claim.cluster} is leaving; wait until it has left, then register again"
        )
    if registration.spec.cluster_set != token.cluster_set:
        return Refuse(
            ClaimRefusal.SET_MISMATCH,
            f"{claim.cluster} is registered for the ClusterSet {registration.spec.cluster_set}, and the "
            f"token {token.id} is for {token.cluster_set}; make one with "
            f"meshctl token create --clusterset {registration.spec.cluster_set}",
        )
    if registration.status.namespace and registration.spec.driver != claim.driver:
        return Refuse(
            ClaimRefusal.DRIVER,
            f"{claim.cluster} joined with the driver {registration.spec.driver}; register with that one, or "
            f"let it leave first (meshctl clusters leave {claim.cluster})",
        )
    return _pinned(claim, token, registration)


def _pinned(claim: Claim, token: TokenFacts, registration: ClusterRegistration) -> Refuse | None:
    pinned = registration.status.id
    if registration.spec.accepted and not pinned.key_fingerprint and not _may_fill(token, registration):
        return Refuse(
            ClaimRefusal.TOKEN_NOT_BOUND,
            f"{claim.cluster} was accepted before it came, so its token is one of its own; make it with "
            f"meshctl token create --cluster-id {claim.cluster}",
        )
    accepted = registration.metadata.annotations.get(ANNOTATION_ACCEPT_KEY) == claim.fingerprint
    if accepted or not pinned.key_fingerprint:
        return None
    if pinned.key_fingerprint != claim.fingerprint:
        return Refuse(
            ClaimRefusal.KEY,
            f"{claim.cluster} is held by the key {pinned.key_fingerprint}; take another name, or, "
            f"if it was set up anew: meshctl clusters accept {claim.cluster} --new-key {claim.fingerprint}",
        )
    if pinned.uid != claim.cluster_uid:
        return Refuse(
            ClaimRefusal.UID_CHANGED,
            f"the key of {claim.cluster} comes from another cluster than the one that joined; delete the "
            f"agent's key there (Secret {AGENT_CREDENTIAL}), or, if it was restored from there: "
            f"meshctl clusters accept {claim.cluster} --new-key {claim.fingerprint}",
        )
    return None


def _may_fill(token: TokenFacts, registration: ClusterRegistration) -> bool:
    """Whether who shows `token` may be the one for whom a registration was accepted that nobody has yet.

    A token that accepts at once lets in whoever comes, under any free name; where the hub dials in itself,
    only its own token will do.
    """
    if token.cluster:
        return token.cluster == registration.metadata.name
    return token.auto_accept and registration.spec.mode == "Manual"

"""What becomes of a CertificateSigningRequest: who may have which leaf, and how a request ended.

1. The requester's ServiceAccount, which the API server vouches for, decides the component (and so the
   identity); what the request itself asks for decides nothing.
2. A request that is decided stays decided: nothing here contradicts a condition that stands.
3. A request is removed by the signer once it is old, whatever became of it: the requester has its answer
   or has asked again. So those who ask (a gateway faces the internet) need no right to delete requests,
   which in Kubernetes would be the right to delete everybody's.

certificates.k8s.io/v1; the condition types are Approved, Denied and Failed, and a request has at most
one of Approved and Denied.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from mesh_core.identity import Component
from mesh_core.lifetimes import REQUEST_LIFE
from mesh_core.names import (
    ACCESS,
    CONTROLLER,
    DNS,
    GATEWAY,
    HUB,
    SIGNER_INTERMEDIATE,
    SYSTEM_NAMESPACE,
)
from mesh_core.objects import CertificateSigningRequest

LEAF_USAGES = ("digital signature", "client auth", "server auth")
"""What a leaf is for (EC keys encipher nothing)."""

INTERMEDIATE_USAGES = ("cert sign", "crl sign")

CONTROLLER_ACCOUNT = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{CONTROLLER}"
"""User name of the only account that may ask for an intermediate."""

_LEAF_ACCOUNTS = {
    f"system:serviceaccount:{SYSTEM_NAMESPACE}:{GATEWAY}": Component.GATEWAY,
    f"system:serviceaccount:{SYSTEM_NAMESPACE}:{DNS}": Component.DNS,
    f"system:serviceaccount:{SYSTEM_NAMESPACE}:{ACCESS}": Component.ACCESS,
    f"system:serviceaccount:{SYSTEM_NAMESPACE}:{HUB}": Component.ACCESS,
}


class Refusal(Enum):
    """Reasons of a Denied or Failed condition."""

    REQUESTER = "RequesterNotAllowed"
    USAGES = "UsagesNotAllowed"
    REQUEST = "RequestUnreadable"


@dataclass(frozen=True, slots=True)
class Sign:
    """Give it a leaf of `component`; `approve` first unless that was done."""

    component: Component
    approve: bool


@dataclass(frozen=True, slots=True)
class Refuse:
    """Set a condition that ends the request; `message` tells the requester what to change."""

    reason: Refusal
    message: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing is to be done: it is decided."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete it: it is old."""


@dataclass(frozen=True, slots=True)
class Issued:
    """The request ended with a certificate chain in PEM."""

    chain_pem: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The request ended without a certificate; `why` is the condition's own words."""

    why: str


def judge_leaf(request: CertificateSigningRequest, *, now: datetime) -> Sign | Refuse | Leave | Remove:
    """What the leaf signer does with a request for `meshctl.dev/leaf`."""
    if seconds_left(request, now=now) <= 0:
        return Remove()
    if outcome(request) is not None:
        return Leave()
    component = _LEAF_ACCOUNTS.get(request.spec.username)
    if component is None:
        return Refuse(
            Refusal.REQUESTER,
            f"{request.spec.username or 'nobody'} may not have a leaf; only the ServiceAccounts "
            f"{GATEWAY}, {DNS}, {ACCESS} and {HUB} of {SYSTEM_NAMESPACE} may",
        )
    foreign = sorted(set(request.spec.usages) - set(LEAF_USAGES))
    if foreign:
        return Refuse(
            Refusal.USAGES, f"a leaf is not for {', '.join(foreign)}; ask for {', '.join(LEAF_USAGES)}"
        )
    return Sign(component=component, approve=not is_approved(request))


def open_intermediate(requests: Iterable[CertificateSigningRequest]) -> CertificateSigningRequest | None:
    """The controller's own request for an intermediate that nobody has answered; None without one.

    Of several the newest: an older one may be for a key that is no more.
    """
    found = [
        one
        for one in requests
        if one.spec.signer_name == SIGNER_INTERMEDIATE
        and one.spec.username == CONTROLLER_ACCOUNT
        and outcome(one) is None
    ]
    return max(found, key=lambda one: (one.metadata.creation_timestamp, one.metadata.name), default=None)


def seconds_left(request: CertificateSigningRequest, *, now: datetime) -> float:
    """Until the request is old; not positive when it is."""
    created = datetime.fromisoformat(request.metadata.creation_timestamp)
    return (created + REQUEST_LIFE - now).total_seconds()


def is_approved(request: CertificateSigningRequest) -> bool:
    """Whether somebody who may has approved it."""
    return _condition(request, "Approved") is not None


def outcome(request: CertificateSigningRequest) -> Issued | Refused | None:
    """How the request ended; None while it has not. A refusal outweighs a certificate."""
    for kind in ("Denied", "Failed"):
        why = _condition(request, kind)
        if why is not None:
            return Refused(f"{kind}: {why}")
    if not request.status.certificate:
        return None
    try:
        return Issued(base64.b64decode(request.status.certificate, validate=True))
    except binascii.Error:
        return Refused("its certificate is not base64")


def _condition(request: CertificateSigningRequest, kind: str) -> str | None:
    """Reason and message of a standing condition of that type."""
    for condition in request.status.conditions:
        if condition.type == kind and condition.status == "True":
            return " ".join(part for part in (condition.reason, condition.message) if part)
    return None

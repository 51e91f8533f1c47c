"""What an agent asks of the hub, as a CertificateSigningRequest, and what came of it.

With the driver `csr` it is a request for a client certificate, which the hub's own signer signs. With the
driver `token` nobody ever signs it: it carries the claim, and Approved is the sign that a token may be made.

The name of a request is made from the key, so that an agent that was stopped finds its own again. A claim
that was refused is left where it is, for people to read; the next one has a number behind its name.
"""

import base64
from dataclasses import dataclass
from datetime import datetime

from mesh_core import signing
from mesh_core.conditions import rfc3339
from mesh_core.objects import CertificateSigningRequest
from mesh_core.plan import Json
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.names import (
    ANNOTATION_CLOCK,
    ANNOTATION_CLUSTER_UID,
    ANNOTATION_MODE,
    CLAIM_LIFE_SECONDS,
    CLAIM_USAGES,
    LABEL_CLUSTER,
    SIGNER_CLAIM,
    SIGNER_CLIENT,
    claim_name,
)


@dataclass(frozen=True, slots=True)
class Signed:
    """The certificate chain (PEM) that was asked for."""

    chain: str


@dataclass(frozen=True, slots=True)
class Approved:
    """The claim was taken (driver token)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Of this request nothing more is to be expected; `why` is reason and message of its condition."""

    why: str


Answer = Signed | Approved | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks: the key's fingerprint ("sha256:<hex>"), and the UID of the member's namespace kube-system."""

    fingerprint: str
    kube_system_uid: str


def attempt_name(cluster: str, *, fingerprint: str, attempt: int) -> str:
    """Name of claim number `attempt`, from 0."""
    name = claim_name(cluster, fingerprint=fingerprint)
    return f"{name}-{attempt}" if attempt else name


def request_body(
    name: str, *, settings: HubSettings, request_pem: bytes, asker: Asker, now: datetime
) -> Json:
    """The object to create on the hub."""
    is_claim = settings.driver == "token"
    life = {} if is_claim else {"expirationSeconds": CLAIM_LIFE_SECONDS}
    return {
        "metadata": {
            "name": name,
            "labels": {LABEL_CLUSTER: settings.cluster},
            "annotations": {
                ANNOTATION_CLUSTER_UID: asker.kube_system_uid,
                ANNOTATION_MODE: settings.mode,
                ANNOTATION_CLOCK: rfc3339(now),
            },
        },
        "spec": {
            "request": base64.b64encode(request_pem).decode(),
            "signerName": SIGNER_CLAIM if is_claim else SIGNER_CLIENT,
            "usages": list(CLAIM_USAGES),
            **life,
        },
    }


def answer_to(request: CertificateSigningRequest) -> Answer | None:
    """How it ended; None while it waits for a person or a signer."""
    match signing.outcome(request):
        case signing.Refused(why=why):
            return Refused(why)
        case signing.Issued(chain_pem=chain):
            return Signed(chain.decode(errors="replace"))
    is_claim = request.spec.signer_name == SIGNER_CLAIM
    return Approved() if is_claim and signing.is_approved(request) else None

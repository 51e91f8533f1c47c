"""A claim as it lies in a CertificateSigningRequest: read, and its signature checked.

Of an X.509 request only the subject and the key are for an agent; one that asks for more is refused.
"""

from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from mesh_core.errors import Fault, MeshError
from mesh_core.objects import CertificateSigningRequest
from mesh_placement.decide.claim import Claim
from mesh_placement.names import (
    ANNOTATION_CLOCK,
    ANNOTATION_CLUSTER_UID,
    ANNOTATION_MODE,
    LABEL_CLUSTER,
)
from mesh_placement.objects import Mode
from mesh_runtime.signing_request import BadRequest, request_in
from mesh_runtime.trust_signing import key_id_of

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_SUBJECT: Final = {NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME}


class BadClaim(MeshError):
    """A request that no claim can be read from."""

    fault = Fault.PEER

    def __init__(self, what: str) -> None:
        super().__init__(what, next_step="claim with our agent")


def cluster_of(request: CertificateSigningRequest) -> str:
    """The cluster that is claimed; "" when the request is no claim."""
    return request.metadata.labels.get(LABEL_CLUSTER, "")


def read_claim(request: CertificateSigningRequest) -> Claim:
    """Raises BadClaim."""
    try:
        read = request_in(request)
    except BadRequest as error:
        raise BadClaim(error.what) from error
    if read.has_extensions:
        raise BadClaim("an agent's request asks for nothing beside its subject")
    if any(one.oid not in _SUBJECT for one in read.subject):
        raise BadClaim("an agent's subject has a common name and an organisation only")
    meta, spec = request.metadata, request.spec
    standing = {one.type for one in request.status.conditions if one.status == "True"}
    times = [_time(one.last_transition_time) for one in request.status.conditions]
    return Claim(
        name=meta.name,
        cluster=cluster_of(request),
        username=spec.username,
        signer=spec.signer_name,
        usages=spec.usages,
        common_name=",".join(_values(read.subject, NameOID.COMMON_NAME)),
        organisations=_values(read.subject, NameOID.ORGANIZATION_NAME),
        fingerprint=f"sha256:{key_id_of(read.public_key)}",
        cluster_uid=meta.annotations.get(ANNOTATION_CLUSTER_UID, ""),
        mode=_mode(meta.annotations.get(ANNOTATION_MODE, "")),
        clock=_time(meta.annotations.get(ANNOTATION_CLOCK, "")),
        created=_time(meta.creation_timestamp) or _NEVER,
        expiration_seconds=spec.expiration_seconds,
        approved="Approved" in standing,
        denied=bool(standing & {"Denied", "Failed"}),
        decided_at=max((time for time in times if time is not None), default=None),
    )


def _values(subject: x509.Name, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(one.value) for one in subject.get_attributes_for_oid(oid))


def _mode(text: str) -> Mode:
    return "Auto" if text == "Auto" else "Manual"


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo is not None else None

"""New certificates in a statement, for the keys that are there: signed before the old ones end."""

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from mesh_core.identity import ClusterId, Domain
from mesh_core.objects.trust import IssuerEntry, RosterEntry, Statement
from mesh_core.roster import with_certificates
from mesh_runtime.pem import UnreadablePem, certificates_from_pem, certificates_to_pem
from mesh_runtime.pki import Authority, make_intermediate, make_issuer, window_in


def renewed(statement: Statement, *, root: Authority, now: datetime, everybody: bool = False) -> Statement:
    """The statement with new certificates for members and issuers that are past two thirds of their life.

    With `everybody` for all. An entry without a certificate that reads keeps what it has. Raises
    IssuerNotValid.
    """
    domain = Domain(statement.domain)
    made: dict[str, tuple[str, ...]] = {}
    for entry in statement.roster:
        newest = newest_of(entry)
        if newest is None or not (everybody or is_due(newest, now=now)):
            continue
        key = newest.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey), "the roster's keys are P-256"
        certificate = make_intermediate(
            root, cluster=ClusterId(entry.cluster), domain=domain, public_key=key, now=now
        )
        made[entry.cluster] = (*entry.certificates[:-1], certificates_to_pem((certificate,)).decode())
    issuers = tuple(
        _issuer(one, root=root, domain=domain, now=now, everybody=everybody) for one in statement.issuers
    )
    return with_certificates(replace(statement, issuers=issuers), certificates=made)


def is_due(certificate: x509.Certificate, *, now: datetime) -> bool:
    """Whether two thirds of its life are over."""
    return window_in(certificate).renewal(jitter=0.0) <= now


def newest_of(entry: RosterEntry) -> x509.Certificate | None:
    """The member's newest intermediate; None without one that reads."""
    return _read(entry.certificates[-1]) if entry.certificates else None


def _issuer(
    issuer: IssuerEntry, *, root: Authority, domain: Domain, now: datetime, everybody: bool
) -> IssuerEntry:
    newest = _read(issuer.certificate)
    if newest is None or not (everybody or is_due(newest, now=now)):
        return issuer
    key = newest.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey), "an issuer's key is P-256"
    made = make_issuer(
        root, pool=issuer.pool, holder=ClusterId(issuer.holder), domain=domain, public_key=key, now=now
    )
    return replace(issuer, certificate=certificates_to_pem((made,)).decode())


def _read(pem: str) -> x509.Certificate | None:
    try:
        return certificates_from_pem(pem.encode(), what="a certificate")[0]
    except UnreadablePem:
        return None

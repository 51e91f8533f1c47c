"""The certificates of a root's rotation, and the next statement of each of its steps (`mesh_core.rotation`).

Every certificate is made for the key that it had, so whoever was signed by that key stays believed.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import assert_never

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.conditions import rfc3339
from mesh_core.identity import ClusterId, Domain
from mesh_core.objects.trust import IssuerEntry, RootEntry, RosterEntry, Statement
from mesh_core.rotation import (
    CannotRotate,
    Finish,
    LackKey,
    Nothing,
    Publish,
    Reissue,
    Step,
    Wait,
    Withdraw,
    finished,
    published,
    reissued,
    withdrawn,
)
from mesh_runtime.pem import UnreadablePem, certificates_from_pem, certificates_to_pem
from mesh_runtime.pki import Authority, make_intermediate, make_issuer
from mesh_runtime.trust_signing import key_id_of

PATIENCE = timedelta(days=1)
"""How long members have for a phase until a person is asked about those who are behind."""


def root_entry(root: Authority) -> RootEntry:
    """A root as a statement names it."""
    return RootEntry(
        key=key_id_of(root.key.public_key()), certificate=certificates_to_pem((root.certificate,)).decode()
    )


def stepped(
    statement: Statement,
    *,
    step: Step,
    roots: Mapping[str, Authority],
    now: datetime,
    patience: timedelta = PATIENCE,
) -> Statement:
    """The statement after `step`, without its next number; unchanged when the step is done or none.

    `roots` are those whose keys are at hand, by KeyId. Raises CannotRotate and IssuerNotValid.
    """
    since, deadline = rfc3339(now), rfc3339(now + patience)
    match step:
        case Nothing() | Wait():
            return statement
        case LackKey(roots=lacking):
            raise CannotRotate(
                f"the private key of root {' or '.join(key[:16] for key in lacking)} is not at hand",
                next_step="bring the folder that holds it",
            )
        case Publish(root=key):
            return published(statement, root=root_entry(roots[key]), since=since, deadline=deadline)
        case Reissue(root=key):
            made = certificates_below(roots[key], statement=statement, now=now)
            return reissued(statement, certificates=made, since=since, deadline=deadline)
        case Withdraw():
            return withdrawn(statement, since=since, deadline=deadline)
        case Finish():
            return finished(statement)
        case never:
            assert_never(never)


def certificates_below(root: Authority, *, statement: Statement, now: datetime) -> dict[str, str]:
    """A certificate (PEM) by `root` for each key of the roster and of issuers that had one, by KeyId.

    Raises CannotRotate for one that does not read, and IssuerNotValid.
    """
    domain = Domain(statement.domain)
    made: dict[str, x509.Certificate] = {}
    for entry in statement.roster:
        for key_id, key in _keys_of(entry).items():
            made[key_id] = make_intermediate(
                root, cluster=ClusterId(entry.cluster), domain=domain, public_key=key, now=now
            )
    for issuer in statement.issuers:
        key = _key_of(issuer.certificate, of=issuer.pool)
        made[issuer.key] = make_issuer(
            root,
            pool=issuer.pool,
            holder=ClusterId(issuer.holder),
            domain=domain,
            public_key=key,
            now=now,
        )
    return {key_id: certificates_to_pem((one,)).decode() for key_id, one in made.items()}


def issuer_entry(certificate: x509.Certificate, *, pool: str, holder: ClusterId) -> IssuerEntry:
    """An issuer as a statement names it."""
    pem = certificates_to_pem((certificate,)).decode()
    return IssuerEntry(key=key_id_of(_key_of(pem, of=pool)), pool=pool, holder=holder, certificate=pem)


def _keys_of(entry: RosterEntry) -> dict[str, ec.EllipticCurvePublicKey]:
    """The member's keys that are in a certificate of its own, in the order of those, the newest last."""
    found = (_key_of(pem, of=entry.cluster) for pem in entry.certificates)
    return {key_id: key for key in found if (key_id := key_id_of(key)) in entry.keys}


def _key_of(pem: str, *, of: str) -> ec.EllipticCurvePublicKey:
    try:
        key = certificates_from_pem(pem.encode(), what=f"the certificate of {of}")[0].public_key()
    except UnreadablePem as error:
        raise CannotRotate(error.what, next_step=f"run meshctl join again for {of}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CannotRotate(
            f"the certificate of {of} has no P-256 key", next_step=f"run meshctl join again for {of}"
        )
    return key

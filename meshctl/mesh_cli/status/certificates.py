"""When the certificates that a member's mesh hangs on end: roots, intermediates, and peers' gateways."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from mesh_cli.status.survey import CertificateSeen
from mesh_core.conditions import rfc3339
from mesh_core.lifetimes import LEAF_LIFE, Window
from mesh_core.objects import TrustBundle
from mesh_core.objects.mesh import PathReport
from mesh_core.trust_statement import held_by

_LEAST_LEAF: Final = LEAF_LIFE / 8
"""Leaves are renewed when a quarter of their life is left; with half of that nobody has."""


def certificates_of(
    bundle: TrustBundle | None, *, paths: Mapping[str, Sequence[PathReport]], now: datetime
) -> tuple[CertificateSeen, ...]:
    """What the member believes and what its gateways were shown, by when they end.

    `paths` are by peer. What does not read is left out.
    """
    found = [*_signed(bundle, now=now), *_shown(paths, now=now)]
    return tuple(sorted(found, key=lambda one: (one.until, one.what)))


def _signed(bundle: TrustBundle | None, *, now: datetime) -> Iterator[CertificateSeen]:
    # Reading certificates takes its time to load: no help waits for it.
    from mesh_runtime.pem import UnreadablePem, certificates_from_pem

    statement = held_by(bundle).statement
    pems = [("root", pem) for pem in (bundle.spec.roots if bundle is not None else ())]
    if statement is not None:
        pems += [
            (f"intermediate of {entry.cluster}", entry.certificates[-1])
            for entry in statement.roster
            if entry.certificates
        ]
        pems += [(f"issuer {one.pool} of {one.holder}", one.certificate) for one in statement.issuers]
    for what, pem in pems:
        try:
            certificate = certificates_from_pem(pem.encode(), what=what)[0]
        except (UnreadablePem, IndexError):
            continue
        window = Window(certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        yield CertificateSeen(what, rfc3339(window.end), window.renewal(jitter=0.0) <= now)


def _shown(paths: Mapping[str, Sequence[PathReport]], *, now: datetime) -> Iterator[CertificateSeen]:
    """Of each peer the certificate of its gateways that ends last: it was shown last."""
    for peer, reports in paths.items():
        ends = [moment for one in reports if (moment := _moment(one.cert_not_after)) is not None]
        if ends:
            until = max(ends)
            yield CertificateSeen(f"gateways of {peer}", rfc3339(until), until - now < _LEAST_LEAF)


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None

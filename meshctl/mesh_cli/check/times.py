"""Ages and ends, for checks: from RFC 3339 text to seconds and words. Pure."""

from datetime import UTC, datetime
from typing import Final

from mesh_cli.check.findings import Certificate, Findings
from mesh_cli.check.verdict import Observed, Unseen, fail, ok, warn
from mesh_core.objects import Lease

_DAY: Final = 86_400.0


def moment(text: str) -> datetime | None:
    """The time that `text` says in RFC 3339; None for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def seconds_since(text: str, *, at: datetime) -> float | None:
    """How long before `at` that was; None when `text` is no time."""
    then = moment(text)
    return None if then is None else (at - then).total_seconds()


def renewed(lease: Lease, *, findings: Findings) -> str:
    """When that was: as the API server says, which goes by one clock for all; else as its holder does."""
    stamps = findings.stamps if not isinstance(findings.stamps, Unseen) else ()
    written = next((one.written for one in stamps if one.lease == lease.metadata.name), "")
    return written or lease.spec.renew_time or ""


def span(seconds: float) -> str:
    """A length of time in one unit."""
    whole = abs(seconds)
    for size, unit, most in ((1.0, "s", 120.0), (60.0, "min", 120.0), (3600.0, "h", 48.0)):
        if whole < most * size:
            return f"{whole / size:.0f} {unit}"
    return f"{whole / _DAY:.0f} d"


def validity(
    subject: str, certificate: Certificate, *, at: datetime, next_step: str, last: float = 1 / 3
) -> Observed:
    """Whether a certificate is good: fails outside of its life, warns in the `last` part of it."""
    told = identified(certificate)
    since = certificate.start.isoformat()
    left = (certificate.end - at).total_seconds()
    life = (certificate.end - certificate.start).total_seconds()
    if certificate.start > at:
        wait = span((certificate.start - at).total_seconds())
        return fail(subject, seen=f"{told}, good in {wait} only", next_step="compare the clocks", since=since)
    if left < 0:
        return fail(subject, seen=f"{told}, ended {span(left)} ago", next_step=next_step, since=since)
    if left < life * last:
        return warn(subject, seen=f"{told}, ends in {span(left)}", next_step=next_step, since=since)
    return ok(subject, seen=f"{told}, ends in {span(left)}", since=since)


def identified(certificate: Certificate) -> str:
    """What a reader compares: whose it is, and which key."""
    whose = ", ".join(certificate.uris) or certificate.subject
    return f"{whose}, key {certificate.key[:16]}"

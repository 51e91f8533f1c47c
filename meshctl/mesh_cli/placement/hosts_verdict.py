"""What a certificate that was shown is good for, as a client finds that asked for a host name. Pure.

1. Names are the DNS names of the subjectAltName and no others: today's clients do not read the common name
   (RFC 9525, section 2).
2. A wildcard is the whole first label and stands for one label (RFC 9525, section 6.3), below two others or
   more, as OpenSSL has it.
3. What stands in a certificate was written by somebody else: it is shown as one short printable line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from cryptography import x509

from mesh_core.conditions import rfc3339
from mesh_placement.schedule.said import one_line

_MOST_NAMES: Final = 3
_NAME_SHOWN: Final = 80


class Verdict(Enum):
    """What a handshake with a host name came to."""

    GOOD = "Good"
    WRONG_NAME = "WrongName"
    NOT_IN_TIME = "NotInTime"
    NOT_BELIEVED = "NotBelieved"
    CLOSED = "Closed"
    SILENT = "Silent"
    NO_GATEWAY = "NoGateway"


@dataclass(frozen=True, slots=True)
class Shown:
    """What counts of a certificate: its DNS names, from when to when it is good."""

    names: tuple[str, ...]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """A verdict with its one line; `ends` is the end of the certificate where one was shown."""

    verdict: Verdict
    why: str
    ends: datetime | None = None


def shown_of(der: bytes) -> Shown:
    """The certificate; raises ValueError when it does not read."""
    read = x509.load_der_x509_certificate(der)
    try:
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        listed: Sequence[str] = ()
    except x509.DuplicateExtension as error:
        raise ValueError("it has an extension twice") from error
    else:
        listed = names.get_values_for_type(x509.DNSName)
    return Shown(tuple(listed), read.not_valid_before_utc, read.not_valid_after_utc)


def covers(name: str, *, host: str) -> bool:
    """Whether a DNS name of a certificate is good for `host`, which is in lower case."""
    name = name.lower()
    if not name.startswith("*."):
        return "*" not in name and name == host
    below = name.removeprefix("*.")
    label, _, rest = host.partition(".")
    return bool(label) and "." in below and rest == below


def believed(shown: Shown) -> Found:
    """What a client says that has verified all of it."""
    return Found(Verdict.GOOD, f"until {rfc3339(shown.end)}", shown.end)


def refused(shown: Shown, *, host: str, now: datetime, why: str) -> Found:
    """Of a certificate that a client refused because of `why`: what is to be done about it."""
    if not any(covers(name, host=host) for name in shown.names):
        said = f"its certificate is for {_listed(shown.names)}, not for {host}; have one made that names it"
        return Found(Verdict.WRONG_NAME, said, shown.end)
    if now < shown.start:
        said = f"its certificate is good from {rfc3339(shown.start)} on; look at the clocks"
        return Found(Verdict.NOT_IN_TIME, said, shown.end)
    if now > shown.end:
        return Found(
            Verdict.NOT_IN_TIME, f"its certificate has ended at {rfc3339(shown.end)}; renew it", shown.end
        )
    said = f"its certificate is not believed: {one_line(why)}; name its CA by --ca-file, or correct its chain"
    return Found(Verdict.NOT_BELIEVED, said, shown.end)


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "no DNS name at all"
    said = ", ".join(one_line(name[:_NAME_SHOWN]) or "an empty name" for name in names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{said} and {more} more" if more > 0 else said

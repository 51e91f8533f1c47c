"""How long a tunnel takes streams: until it is time to look at the other end's certificate again.

1. Who dialled it replaces it after `tunnel_life`, or when nine tenths of the time are over for which the
   other end's certificate was good when it was shown; but nobody is made to dial all the time.
2. Whoever dialled it, it takes no more streams a quarter of `tunnel_life` later, nor after the end of that
   certificate. So nobody keeps a tunnel by a certificate that he could not show any more.
"""

import math
import ssl
from dataclasses import dataclass
from datetime import datetime

_SHORTEST = 10.0


@dataclass(frozen=True, slots=True)
class Shown:
    """The certificate that the other end has shown: when it ends, in seconds since 1970, and for how many
    seconds it was good when it was shown. Infinite where it has shown none."""

    ends: float = math.inf
    good_for: float = math.inf


NOTHING_SHOWN = Shown()


@dataclass(frozen=True, slots=True)
class Life:
    """Times of the loop's clock: from `renew_by` on it is to be replaced, from `leave_by` on it is left."""

    renew_by: float
    leave_by: float


def life_of(*, now: float, longest: float, good_for: float) -> Life:
    """Of a tunnel that begins `now`; its certificate is good for so many seconds more."""
    return Life(
        renew_by=now + max(_SHORTEST, min(longest, 0.9 * good_for)),
        leave_by=now + min(1.25 * longest, good_for),
    )


def shown_in(tls: ssl.SSLObject, *, now: datetime) -> Shown:
    """What the other end has shown in a handshake that is over."""
    end = (tls.getpeercert() or {}).get("notAfter")
    if not isinstance(end, str):
        return Shown()
    ends = float(ssl.cert_time_to_seconds(end))
    return Shown(ends, max(0.0, ends - now.timestamp()))

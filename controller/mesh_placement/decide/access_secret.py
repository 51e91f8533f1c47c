"""What the Secret `access` of a member says: the token by which the hub reaches it, and what to believe."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from mesh_core.conditions import rfc3339

_RENEW_AT = 0.8
_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class AccessHeld:
    """A token, until when it is good, when it is renewed, and the CA (PEM) of the member's API server."""

    token: str = field(repr=False)
    expires: datetime
    renewal: datetime
    ca: str = ""

    @classmethod
    def obtained(cls, token: str, *, now: datetime, expires: datetime, jitter: float) -> "AccessHeld":
        """Renewed at four fifths of its observed life; `jitter` is a number of [0, 1)."""
        return cls(token, expires, now + (expires - now) * (_RENEW_AT + _SPREAD * (jitter - 0.5)))

    def with_ca(self, ca: str) -> "AccessHeld":
        """The same token with that CA."""
        return replace(self, ca=ca)


def access_data(held: AccessHeld, *, server: str) -> Mapping[str, str]:
    """The Secret's data, not encoded; `server` "" leads through the tunnel."""
    return {
        "token": held.token,
        "ca.crt": held.ca,
        "server": server,
        "expires": rfc3339(held.expires),
    }

"""What a member's agent shows to the hub: Secret `AGENT_CREDENTIAL`, and when it is renewed.

1. The key is made once and kept: the hub knows the cluster by it.
2. A certificate or token is renewed at four fifths of its *observed* life, with jitter: what the hub gave,
   not what was asked for, so that a shorter life brings no storm.
3. A credential is for one cluster id at one hub; for another it counts as none, and the key stays.
"""

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mesh_core.conditions import rfc3339
from mesh_core.objects import Secret
from mesh_placement.decide.agent_settings import HubSettings

KEY = "tls.key"
_RENEW_AT = 0.8
_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate (PEM, driver csr) or a token (driver token), good from `obtained` to `expires`.

    `registration_uid` and `namespace` are what the hub called this cluster; "" until that was read.
    """

    server: str
    cluster: str
    obtained: datetime
    expires: datetime
    certificate: str = ""
    token: str = field(default="", repr=False)
    registration_uid: str = ""
    namespace: str = ""

    @property
    def proof(self) -> str:
        """What is shown: two credentials with the same are the same to the hub."""
        return self.token or self.certificate

    def is_good(self, now: datetime) -> bool:
        """Whether it may be shown now."""
        return now < self.expires

    def is_for(self, settings: HubSettings) -> bool:
        """Law 3."""
        has_means = bool(self.token if settings.driver == "token" else self.certificate)
        return has_means and (self.server, self.cluster) == (settings.server, settings.cluster)

    def renewal(self, *, jitter: float) -> datetime:
        """When to renew it; `jitter` is a number of [0, 1)."""
        life = self.expires - self.obtained
        return self.obtained + life * (_RENEW_AT + _SPREAD * (jitter - 0.5))


@dataclass(frozen=True, slots=True)
class Kept:
    """The Secret as it lies there: the key (PEM, b"" before it was made), the credential if there is one."""

    key: bytes = field(default=b"", repr=False)
    credential: Credential | None = None


def read_kept(secret: Secret | None) -> Kept:
    """What the Secret holds; a credential that does not read is none."""
    if secret is None:
        return Kept()
    said = {name: _text(value) for name, value in secret.data.items()}
    return Kept(said.get(KEY, "").encode(), _credential(said))


def secret_data(credential: Credential) -> dict[str, str]:
    """The Secret's data but for the key, base64; what it has not is written empty."""
    said = {
        "server": credential.server,
        "cluster-id": credential.cluster,
        "obtained": rfc3339(credential.obtained),
        "expires": rfc3339(credential.expires),
        "tls.crt": credential.certificate,
        "token": credential.token,
        "registration-uid": credential.registration_uid,
        "namespace": credential.namespace,
    }
    return {name: base64.b64encode(text.encode()).decode() for name, text in said.items()}


def retry_seconds(credential: Credential, *, now: datetime, wait: float) -> float:
    """How long to wait after a renewal that failed: `wait`, less when the end is near, never below one."""
    left = (credential.expires - now) / timedelta(seconds=1)
    return max(1.0, min(wait, left / 4))


def _credential(said: dict[str, str]) -> Credential | None:
    try:
        obtained, expires = (datetime.fromisoformat(said[name]) for name in ("obtained", "expires"))
        if obtained.tzinfo is None or expires.tzinfo is None:
            return None
        return Credential(
            server=said["server"],
            cluster=said["cluster-id"],
            obtained=obtained,
            expires=expires,
            certificate=said.get("tls.crt", ""),
            token=said.get("token", ""),
            registration_uid=said.get("registration-uid", ""),
            namespace=said.get("namespace", ""),
        )
    except (KeyError, ValueError):
        return None


def _text(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""

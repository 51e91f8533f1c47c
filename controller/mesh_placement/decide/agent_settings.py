"""What a member's agent was told of its hub: Secret `AGENT_SETTINGS`.

`meshctl register` writes it on the member, or the hub that dialled in.
"""

import base64
import binascii
from dataclasses import dataclass, field, replace
from typing import get_args

from mesh_core.errors import UserError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Secret
from mesh_placement.names import AGENT_SETTINGS
from mesh_placement.objects import Driver, Mode

CA = "ca.crt"
TOKEN = "token"


class UnreadableSettings(UserError):
    """The Secret that says where the hub is cannot be used."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Secret {SYSTEM_NAMESPACE}/{AGENT_SETTINGS} cannot be used ({why})",
            next_step="write it again with meshctl register",
        )


@dataclass(frozen=True, slots=True)
class HubSettings:
    """`ca` are the hub's roots in PEM. `token` is a bootstrap token "id.secret", "" when there is none any
    more. `advertise` is the URL of the member's own API server as the hub dials it, "" for the tunnel only.
    `access`: the hub's users are let in, each as himself."""

    server: str
    ca: str
    cluster: str
    cluster_set: str
    driver: Driver = "csr"
    mode: Mode = "Manual"
    advertise: str = ""
    access: bool = False
    token: str = field(default="", repr=False)

    @property
    def standing(self) -> "HubSettings":
        """The settings without the token, which is for joining alone."""
        return replace(self, token="")

    @property
    def token_id(self) -> str:
        """The part of the token that is no secret."""
        return self.token.partition(".")[0]


def read_settings(secret: Secret) -> HubSettings:
    """The settings; raises UnreadableSettings."""
    said = {name: _text(name, value) for name, value in secret.data.items()}
    for name in ("server", CA, "cluster-id"):
        if not said.get(name):
            raise UnreadableSettings(f"it has no {name}")
    if not said["server"].startswith("https://"):
        raise UnreadableSettings("server is no https:// address")
    driver, mode = said.get("driver") or "csr", said.get("mode") or "Manual"
    if driver not in get_args(Driver) or mode not in get_args(Mode):
        raise UnreadableSettings(f"driver {driver} or mode {mode} is not known")
    return HubSettings(
        server=said["server"].rstrip("/"),
        ca=said[CA],
        cluster=said["cluster-id"],
        cluster_set=said.get("cluster-set", ""),
        driver="token" if driver == "token" else "csr",
        mode="Auto" if mode == "Auto" else "Manual",
        advertise=said.get("advertise", ""),
        access=said.get("access") == "true",
        token=said.get(TOKEN, "").strip(),
    )


def _text(name: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise UnreadableSettings(f"{name} is no text") from None

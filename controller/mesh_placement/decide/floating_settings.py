"""What a candidate for the hub is told: Secret `FLOATING` in the system namespace, by an administrator.

`self` is what this cluster is called among the witnesses, `key` what copies are sealed with (base64 of 64
random bytes, the same for every candidate), and `witness.NAME` the kubeconfig for each other witness, of one
server and one credential, without programs or files.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

from mesh_core.errors import UserError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Secret
from mesh_placement.decide.kubeconfig import BadKubeconfig, Dial, read_kubeconfig
from mesh_placement.names import FLOATING

KEY_BYTES: Final = 64
_MOST_OTHERS: Final = 8
_WITNESS: Final = "witness."
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class BadFloating(UserError):
    """The Secret cannot be used, so this cluster does not stand."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Secret {SYSTEM_NAMESPACE}/{FLOATING} cannot be used ({why})",
            next_step="write it as docs/floating-hub.md says, or delete it where the hub is not to float",
        )


@dataclass(frozen=True, slots=True)
class FloatingSettings:
    """`others` are the ways to the witnesses beside this cluster, which is one itself."""

    own: str
    key: bytes = field(repr=False)
    others: dict[str, Dial] = field(repr=False)


def read_floating(secret: Secret) -> FloatingSettings:
    """Raises BadFloating."""
    own = _decoded(secret, "self").decode(errors="replace").strip()
    if _NAME.fullmatch(own) is None:
        raise BadFloating(f"self is {own[:63]!r}, no name of a cluster")
    key = _decoded(secret, "key")
    if len(key) != KEY_BYTES:
        raise BadFloating(f"key has {len(key)} bytes, not {KEY_BYTES}")
    others: dict[str, Dial] = {}
    for name in sorted(secret.data):
        witness = name.removeprefix(_WITNESS)
        if witness == name or witness == own:
            continue
        if _NAME.fullmatch(witness) is None:
            raise BadFloating(f"{name[:80]} names no cluster")
        try:
            others[witness] = read_kubeconfig(_decoded(secret, name))
        except BadKubeconfig as error:
            raise BadFloating(f"{name}: {error.what}") from error
    if not 2 <= len(others) <= _MOST_OTHERS:
        raise BadFloating(f"it names {len(others)} witnesses beside this cluster, not 2 to 8")
    return FloatingSettings(own, key, others)


def _decoded(secret: Secret, name: str) -> bytes:
    try:
        return base64.b64decode(secret.data.get(name, ""), validate=True)
    except binascii.Error as error:
        raise BadFloating(f"{name} is not base64") from error

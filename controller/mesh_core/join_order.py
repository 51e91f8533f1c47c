"""What a newcomer's operator wrote down for its controller: Secret meshctl-system/meshctl-join-token. Pure.

Data: `token` as `meshctl invite` printed it; optional `gateways`, JSON of [{"host": ..., "port": ...}], where
others shall dial this cluster; optional `podCIDRs`, JSON of strings, where its pods lie on a common network.
Without `gateways` the load balancer's address is taken, and without one this cluster only dials.

What becomes of it is the condition `Joined` of the TrustBundle, whose message ends with the invitation's id.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from mesh_core.invitation_token import BadToken, Token, read_token
from mesh_core.join_wire import JoinCode, JoinFailed
from mesh_core.names import JOIN_TOKEN_SECRET, SYSTEM_NAMESPACE
from mesh_core.objects import Condition, PeerGateway, Secret, TrustBundle

SECRET_TYPE: Final = "meshctl.dev/join-token"
JOINED: Final = "Joined"
"""Condition of the TrustBundle: what became of the token. Reasons are those below, and every `JoinCode`."""
JOINING: Final = "Joining"
INVITED: Final = "Invited"
_TOKEN: Final = "token"
_GATEWAYS: Final = "gateways"
_RANGES: Final = "podCIDRs"
_MOST_RANGES: Final = 64


@dataclass(frozen=True, slots=True)
class JoinOrder:
    """A token to come in by, and what to say of where this cluster is; `gateways` None says nothing."""

    token: Token
    gateways: tuple[PeerGateway, ...] | None = None
    pod_ranges: tuple[str, ...] = ()


def read_order(secret: Secret) -> JoinOrder:
    """What the Secret says; raises BadToken."""
    try:
        values = {name: base64.b64decode(text, validate=True) for name, text in secret.data.items()}
        text = values[_TOKEN].decode("ascii")
        gateways = (
            msgspec.json.decode(values[_GATEWAYS], type=tuple[PeerGateway, ...])
            if _GATEWAYS in values
            else None
        )
        ranges = msgspec.json.decode(values.get(_RANGES, b"[]"), type=tuple[str, ...])
    except (binascii.Error, KeyError, UnicodeError, msgspec.MsgspecError) as error:
        raise BadToken(f"the Secret {JOIN_TOKEN_SECRET} does not read ({error})") from error
    return JoinOrder(read_token(text), gateways, pod_ranges=ranges[:_MOST_RANGES])


def order_body(
    text: str, *, gateways: tuple[PeerGateway, ...] | None, pod_ranges: tuple[str, ...]
) -> Mapping[str, Any]:  # Any: JSON
    """The Secret, for the API server; `text` is the token."""
    values = {_TOKEN: text.encode()}
    if gateways is not None:
        values[_GATEWAYS] = msgspec.json.encode(gateways)
    if pod_ranges:
        values[_RANGES] = msgspec.json.encode(pod_ranges)
    return {
        "metadata": {"name": JOIN_TOKEN_SECRET, "namespace": SYSTEM_NAMESPACE},
        "type": SECRET_TYPE,
        "data": {name: base64.b64encode(value).decode() for name, value in values.items()},
    }


def joining(token: Token) -> Condition:
    """The condition while the answer is waited for."""
    return _condition(token, status="Unknown", reason=JOINING, words=f"asking {token.cluster}")


def joined(token: Token) -> Condition:
    """The condition once this cluster is in."""
    return _condition(token, status="True", reason=INVITED, words=f"let in by {token.cluster}")


def not_joined(token: Token | None, error: JoinFailed) -> Condition:
    """The condition when it was not let in; `token` None is for one that does not read."""
    return _condition(token, status="False", reason=error.code.value, words=str(error))


def found_condition(bundle: TrustBundle | None, *, token: Token) -> Condition | None:
    """The condition `Joined`, if it speaks of that token and not of an earlier one."""
    for condition in bundle.status.conditions if bundle is not None else ():
        if condition.type == JOINED and condition.message.endswith(_mark(token)):
            return condition
    return None


def is_final(condition: Condition) -> bool:
    """Whether nothing more is going to happen by itself."""
    if condition.status == "True":
        return True
    code = next((one for one in JoinCode if one.value == condition.reason), None)
    return code is not None and not code.can_pass


def _condition(token: Token | None, *, status: str, reason: str, words: str) -> Condition:
    mark = _mark(token) if token is not None else ""
    return Condition(type=JOINED, status=status, reason=reason, message=f"{words}{mark}")


def _mark(token: Token) -> str:
    return f" (invitation {token.id})"

"""As whom somebody of the hub appears in a member.

1. A person is there whom he is here: same name, same groups. What he may do is the member's decision.
2. Nobody brings rights that a cluster gives to its own parts. A name that begins with `system:` or `meshctl:`
   means another account in every cluster, so it gets the prefix `meshctl:hub:`, under which a member may
   bind it on purpose. Groups `system:`, `meshctl:` and `kubeadm:` stay here; the member adds
   `system:authenticated` by itself.
3. Extra fields describe objects of the hub (the pod or node of a token), so none is passed on but those whose
   keys are named in the settings.
4. Nothing that the caller wrote himself reaches the member as an identity: see `is_passed`.
"""

from collections.abc import Sequence
from urllib.parse import quote

from mesh_placement.decide.caller import Believed, Caller

HUB_PREFIX = "meshctl:hub:"
"""Before the name, in a member, of an account of the hub that is no person."""

_OWN_NAMES = ("system:", "meshctl:")
_OWN_GROUPS = ("system:", "meshctl:", "kubeadm:")
_SOCKET_TOKEN = "base64url.bearer.authorization.k8s.io."

# Between two neighbours only (RFC 9110, section 7.6.1), or written anew.
_NEVER = frozenset(
    "connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer"
    " transfer-encoding upgrade host content-length expect authorization cookie forwarded x-real-ip".split()
)
_NEVER_BEGINS = ("impersonate-", "x-remote-", "x-forwarded-")


class NotPassedOn(ValueError):
    """A name that no header can carry."""


def headers_as(caller: Caller, *, extras: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Header fields by which the member's API server takes the hub for `caller`, values as Latin-1 text.

    `extras` are the keys of extra fields that are passed on. Raises NotPassedOn.
    """
    own = caller.user.startswith(_OWN_NAMES)
    fields = [("Impersonate-User", _value(HUB_PREFIX + caller.user if own else caller.user))]
    groups = dict.fromkeys(group for group in caller.groups if group and not group.startswith(_OWN_GROUPS))
    fields += [("Impersonate-Group", _value(group)) for group in groups]
    if caller.uid:
        fields.append(("Impersonate-Uid", _value(caller.uid)))
    for key, values in caller.extra:
        if key in extras:
            name = f"Impersonate-Extra-{quote(key, safe='')}"
            fields += [(name, _value(value)) for value in values]
    return fields


def is_passed(name: str, *, rules: Believed) -> bool:
    """Whether a caller's header field (`name` in lower case) goes on to the member.

    What the hub's front proxy writes does not, also where `rules` names it otherwise than usual.
    """
    if name in _NEVER or name.startswith(_NEVER_BEGINS):
        return False
    named = (*rules.user_headers, *rules.group_headers, *rules.uid_headers)
    return name not in named and not name.startswith(rules.extra_prefixes)


def without_token(protocols: str) -> str:
    """Sec-WebSocket-Protocol without the caller's own token, which browsers send there."""
    offered = (one.strip() for one in protocols.split(","))
    return ", ".join(one for one in offered if one and not one.startswith(_SOCKET_TOKEN))


def _value(text: str) -> str:
    if not text or any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        raise NotPassedOn(f"the name {text!r} cannot be passed on to a member")
    if text != text.strip():
        # A header's value has no blanks at its ends: the member would read another name.
        raise NotPassedOn(f"the name {text!r} begins or ends with a blank")
    return text.encode().decode("latin-1")

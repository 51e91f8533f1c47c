"""Heads as they go on: the caller's to the member, the member's back to the caller.

A member is believed in what it says of itself. What would have a caller do something elsewhere, where his
credentials are good for more, is not passed on: a redirection that leaves the member (clients follow it, some
with their token), and what browsers keep for the hub's whole origin.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from mesh_placement.access.heads import (
    Fields,
    RequestHead,
    ResponseHead,
    named_by_connection,
    written,
)
from mesh_placement.decide.access_path import Proxied
from mesh_placement.decide.caller import Believed, Caller
from mesh_placement.decide.impersonation import headers_as, is_passed, without_token
from mesh_placement.decide.route import Route
from mesh_placement.way.dial import API_SERVER_NAME

_UPGRADES: Final = ("websocket", "spdy/3.1")
"""What becomes a stream at an API server; a wish for anything else is not heard (RFC 9110, section 7.8)."""
_NEVER_BACK: Final = frozenset(
    "connection keep-alive proxy-connection transfer-encoding content-length upgrade trailer alt-svc"
    " set-cookie strict-transport-security clear-site-data refresh service-worker-allowed".split()
)
_REDIRECTIONS: Final = (300, 301, 302, 303, 305, 306, 307, 308)
_WITHIN: Final = re.compile(r"/(?!/)[\x21-\x5b\x5d-\x7e]*")
_UPWARD: Final = re.compile(r"/(\.|%2e){1,2}([/?#;]|%2f|$)", re.IGNORECASE)


def upgrade_of(request: RequestHead) -> str:
    """The protocol that a request really changes to, "" for none."""
    return request.upgrade if request.upgrade.lower() in _UPGRADES else ""


def onward(
    request: RequestHead,
    *,
    target: Proxied,
    caller: Caller,
    route: Route,
    extras: Sequence[str],
    rules: Believed,
) -> bytes:
    """The request's head for the member's API server; raises NotPassedOn."""
    near = named_by_connection(request.fields)
    fields = [
        ("Host", _authority(route.host, route.port)),
        ("Authorization", f"Bearer {route.token}"),
        *_identity(caller, tuple(extras)),
    ]
    for name, value in request.fields:
        if name in near or not is_passed(name, rules=rules):
            continue
        if name == "sec-websocket-protocol":
            value = without_token(value)
            if not value:
                continue
        fields.append((name, value))
    upgrade = upgrade_of(request)
    if upgrade:
        fields += [("Connection", "Upgrade"), ("Upgrade", upgrade)]
    if request.length is None:
        fields.append(("Transfer-Encoding", "chunked"))
    elif request.length or request.method in ("POST", "PUT", "PATCH"):
        fields.append(("Content-Length", str(request.length)))
    return written(f"{request.method} {route.prefix}{target.path} HTTP/1.1", fields)


def leaves_member(response: ResponseHead) -> bool:
    """Whether an answer would lead its reader out of the member's API."""
    if response.status not in _REDIRECTIONS:
        return False
    places = [value for name, value in response.fields if name == "location"]
    return any(not _WITHIN.fullmatch(place) or _UPWARD.search(place) for place in places)


def backward(response: ResponseHead, *, request: RequestHead, target: Proxied, keeps: bool) -> bytes:
    """The head of the member's answer for the caller; `keeps`: whether his connection goes on after it."""
    near = named_by_connection(response.fields)
    fields = [
        (name, _moved(value, prefix=target.prefix) if name == "location" else value)
        for name, value in response.fields
        if name not in _NEVER_BACK and name not in near
    ]
    if response.status == 101:
        fields += [("Connection", "Upgrade"), ("Upgrade", upgrade_of(request))]
    else:
        fields += _framed(response, method=request.method)
        if not keeps:
            fields.append(("Connection", "close"))
    return written(f"HTTP/1.1 {response.status} {response.reason}", fields)


def _framed(response: ResponseHead, *, method: str) -> list[tuple[str, str]]:
    if method == "HEAD" or response.status == 304:
        return [(name, value) for name, value in response.fields if name == "content-length"]
    match response.length:
        case None:
            return [("Transfer-Encoding", "chunked")]
        case -1:
            return []
        case length:
            return [("Content-Length", str(length))] if response.status != 204 else []


def _moved(location: str, *, prefix: str) -> str:
    """A redirection within the member, as a path here."""
    return prefix + location if location.startswith("/") and not location.startswith("//") else location


@lru_cache(maxsize=1024)
def _identity(caller: Caller, extras: tuple[str, ...]) -> Fields:
    return tuple(headers_as(caller, extras=extras))


def _authority(host: str, port: int) -> str:
    if not host:
        return API_SERVER_NAME
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

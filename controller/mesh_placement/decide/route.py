"""Which way leads to a member's API server, and with what the hub shows itself there.

Only an Available member that lets the hub in has a way. What is missing is said so that whoever asked can
tell the member's own people.
"""

import binascii
import ipaddress
from base64 import b64decode
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from mesh_core.objects import Secret
from mesh_placement.objects import ClusterRegistration

_HTTPS = 443


@dataclass(frozen=True, slots=True)
class Route:
    """A way to `cluster`. `host` "" is the tunnel that the member has dialled; `prefix` stands before every
    path ("" or "/..."), `ca` is PEM, `token` is the hub's own in the member and good before `until`."""

    cluster: str
    host: str
    port: int
    prefix: str
    ca: str
    token: str = field(repr=False)
    until: datetime


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Why there is none now: HTTP status, a reason as in metav1.Status, a sentence with the next step."""

    status: int
    reason: str
    message: str


def route_to(
    cluster: str, *, registration: ClusterRegistration | None, secret: Secret | None
) -> Route | NoRoute:
    """The way to `cluster`, by its registration and the Secret `access` of its namespace."""
    if registration is None:
        return NoRoute(404, "NotFound", f'cluster "{cluster}" is not registered; see meshctl clusters')
    available = next((one for one in registration.status.conditions if one.type == "Available"), None)
    if available is None or available.status != "True":
        why = f" ({available.reason}: {available.message})" if available is not None else ""
        return _not_now(cluster, f"is not Available{why}; look at its ClusterRegistration")
    data = _decoded(secret) if secret is not None else {}
    if not data.get("token"):
        return _not_now(cluster, "does not let the hub in; its people allow it with --allow-access")
    try:
        until = datetime.fromisoformat(data.get("expires", ""))
        host, port, prefix = _address(data.get("server", ""))
        if until.tzinfo is None or not data.get("ca.crt"):
            raise ValueError("no zone, or no ca.crt")
    except ValueError:
        return _not_now(cluster, "has left access data that cannot be read; look into its agent's log")
    return Route(cluster, host, port, prefix, data["ca.crt"], data["token"], until)


def ended(route: Route) -> NoRoute:
    """Said when the time of the hub's token is over."""
    why = f"gave the hub a token that ended at {route.until.isoformat()}; look into its agent's log"
    return _not_now(route.cluster, why)


def _not_now(cluster: str, why: str) -> NoRoute:
    return NoRoute(503, "ServiceUnavailable", f'cluster "{cluster}" {why}')


def _decoded(secret: Secret) -> dict[str, str]:
    try:
        return {key: b64decode(value, validate=True).decode() for key, value in secret.data.items()}
    except (binascii.Error, UnicodeError):
        return {}


def _address(server: str) -> tuple[str, int, str]:
    """Host, port and path of an API server's URL; of "" nothing. Raises ValueError."""
    if not server:
        return "", 0, ""
    url = urlsplit(server)
    if url.scheme != "https" or not url.hostname or url.username or url.query or url.fragment:
        raise ValueError(f"{server!r} is no address of an API server")
    if _is_of_the_node(url.hostname):
        raise ValueError(f"{url.hostname} is no address of another cluster")
    return url.hostname, url.port or _HTTPS, url.path.rstrip("/")


def _is_of_the_node(host: str) -> bool:
    """Whether an address means something of the machine that dials, such as a cloud's metadata service."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_link_local or address.is_multicast or address.is_unspecified

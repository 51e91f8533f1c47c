"""The server names that mean something on the gateway's port, and their grammar.

    <port>.<service>.<namespace>.svc.clusterset.local
    <port>.<cluster id>.<service>.<namespace>.svc.clusterset.local     in that cluster and no other
    <port>.<endpoint>.<cluster id>.<service>.<namespace>.svc.clusterset.local     that endpoint, there
    peer.<cluster id>.<clusterset domain>                              the controllers' stream
    join.<cluster id>.<clusterset domain>                              the door for who has an invitation
    gateway.<cluster id>.<clusterset domain>                           a tunnel
    kube-apiserver.<cluster id>.<clusterset domain>                    an API server: at the inner door only

A name is read whole or not at all: letters in any case, no trailing dot (RFC 6066 section 3), at most
253 characters, labels as RFC 1123 has them, `<port>` a decimal number from 1 to 65535 without leading
zeros, `<endpoint>` as `mesh_core.names.endpoint_label` spells it. A name below `svc.clusterset.local`
never means anything but a service (ruling 4: it selects that mode whatever the application protocol).
"""

import re
from dataclasses import dataclass

from mesh_core.names import CLUSTERSET_ZONE, RESERVED_API_SERVER

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_LONGEST = 253
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_SERVICES = f".svc.{CLUSTERSET_ZONE}"


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """One port of an exported service; with `cluster`, in that cluster and no other.

    With `endpoint`, which never comes without `cluster`, of that endpoint of a headless service.
    """

    namespace: str
    service: str
    port: int
    cluster: str | None = None
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class PeerTarget:
    """The controller of a cluster."""

    cluster: str


@dataclass(frozen=True, slots=True)
class JoinTarget:
    """The door for newcomers of a cluster."""

    cluster: str


@dataclass(frozen=True, slots=True)
class GatewayTarget:
    """The gateway of a cluster itself."""

    cluster: str


@dataclass(frozen=True, slots=True)
class ApiServerTarget:
    """The API server of a cluster, which no peer can ask for by a name (ruling 18)."""

    cluster: str


@dataclass(frozen=True, slots=True)
class NoTarget:
    """A name that means nothing here; `reason` is for the log."""

    reason: str


Target = ServiceTarget | PeerTarget | JoinTarget | GatewayTarget | ApiServerTarget | NoTarget

_MEMBERS = tuple(f"{name}." for name in ("peer", "join", "gateway", RESERVED_API_SERVER))


def read_server_name(name: str, *, domain: str) -> Target:
    """What `name` asks for in the clusterset whose identities lie below `domain`."""
    if len(name) > _LONGEST:
        return NoTarget("a server name longer than 253 characters")
    lower = name.lower()
    if lower.endswith(_SERVICES):
        return _service(lower.removesuffix(_SERVICES).split("."))
    suffix = f".{domain.lower()}"
    if lower.startswith(_MEMBERS) and lower.endswith(suffix):
        return _member(lower.removesuffix(suffix).split("."))
    return NoTarget("a server name outside the clusterset")


def service_server_name(*, namespace: str, service: str, port: int) -> str:
    """The name that asks a gateway for `port` of an exported service.

    At most 154 characters: a port of 5, two labels of 63, and the zone.
    """
    return f"{port}.{service}.{namespace}{_SERVICES}"


def endpoint_server_name(*, namespace: str, service: str, port: int, cluster: str, endpoint: str) -> str:
    """The name that asks a gateway of `cluster` for `port` of one endpoint of a headless service.

    Up to 282 characters, and then `read_server_name` takes it for nothing: the caller's to check (ruling 4).
    """
    return f"{port}.{endpoint}.{cluster}.{service}.{namespace}{_SERVICES}"


def _service(labels: list[str]) -> ServiceTarget | NoTarget:
    cluster: str | None = None
    endpoint = ""
    match labels:
        case [port, service, namespace]:
            pass
        case [port, cluster, service, namespace]:
            pass
        case [port, endpoint, cluster, service, namespace]:
            pass
        case _:
            return NoTarget("a service name with too few or too many labels")
    if not _PORT.fullmatch(port) or int(port) > 65535:
        return NoTarget("a service name that does not begin with a port number")
    if not all(_LABEL.fullmatch(label) for label in labels[1:]):
        return NoTarget("a service name with a label that DNS does not allow")
    return ServiceTarget(namespace, service, int(port), cluster=cluster, endpoint=endpoint)


def _member(labels: list[str]) -> Target:
    match labels:
        case ["peer", cluster] if _LABEL.fullmatch(cluster):
            return PeerTarget(cluster=cluster)
        case ["join", cluster] if _LABEL.fullmatch(cluster):
            return JoinTarget(cluster=cluster)
        case ["gateway", cluster] if _LABEL.fullmatch(cluster):
            return GatewayTarget(cluster=cluster)
        case [asked, cluster] if asked == RESERVED_API_SERVER and _LABEL.fullmatch(cluster):
            return ApiServerTarget(cluster=cluster)
        case _:
            return NoTarget("a member's name without exactly one cluster id")

"""Which pods of a DNS server are asked, and at which port. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from mesh_core.names import DNS_PORT
from mesh_core.objects import Pod
from mesh_core.objects.pods import PodSpec

_MOST: Final = 10
"""Pods of a kind that are asked; with more, the first by name."""
_PORT_NAMES: Final = ("dns-tcp", "dns")
"""How the container port of DNS is called over TCP, ours too; the second where one name is for both."""


class _Port(Struct, frozen=True, rename="camel", kw_only=True):
    container_port: int
    name: str = ""


class _Container(Struct, frozen=True, kw_only=True):
    ports: tuple[_Port, ...] | None = ()


class _DnsPodSpec(PodSpec, frozen=True, rename="camel", kw_only=True):
    containers: tuple[_Container, ...] = ()


class DnsPod(Pod, frozen=True, rename="camel", kw_only=True):
    """core/v1 Pod with the ports of its containers, which the caches' `Pod` does without."""

    spec: _DnsPodSpec = _DnsPodSpec()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The pods to ask, by name, and what is to be said of those left out."""

    pods: Sequence[DnsPod] = ()
    aside: tuple[str, ...] = ()


NONE: Final = Chosen()


def choose(pods: Iterable[DnsPod], *, kind: str) -> Chosen:
    """Those that run. One that is not started yet is no fault while another runs, and one that is being
    deleted, or has ended, is asked by nobody.
    """
    alive = sorted(
        (pod for pod in pods if not pod.is_finished and pod.metadata.deletion_timestamp is None),
        key=lambda pod: pod.metadata.name,
    )
    running = [pod for pod in alive if is_running(pod)]
    if not running:
        return Chosen(alive[:_MOST])
    aside = [pod for pod in alive if not is_running(pod)]
    told = tuple(f"{kind} {pod.metadata.name} is {pod.status.phase} and was not asked" for pod in aside)
    return Chosen(running[:_MOST], told[:_MOST])


def is_running(pod: Pod) -> bool:
    """Whether its containers were started."""
    return pod.status.phase == "Running"


def dns_port(pod: DnsPod) -> int:
    """Where a mesh-dns pod answers over TCP: its container port that is named for it, else the usual one."""
    ports = [port for container in pod.spec.containers for port in container.ports or ()]
    named = (port.container_port for name in _PORT_NAMES for port in ports if port.name == name)
    return next(named, DNS_PORT)

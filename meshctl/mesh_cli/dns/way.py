"""The way of a name from the API server to a pod, as values: who was asked, what each said. Pure."""

from dataclasses import dataclass
from enum import Enum

from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.reply import Query, Reply
from mesh_cli.dns.zone import CoreDnsConfig


@dataclass(frozen=True, slots=True)
class NotAllowed(Unseen):
    """Who asks may not: nothing is known of the one that was to be asked."""


class Part(Enum):
    """Who can be asked, in the order of the way."""

    API = "API server"
    MESH_POD = "mesh-dns pod"
    MESH_SERVICE = "mesh-dns Service"
    DNS_POD = "cluster DNS pod"
    DNS_SERVICE = "cluster DNS"
    POD = "pod"


@dataclass(frozen=True, slots=True)
class Self:
    """What a mesh-dns pod says of itself: how many seconds ago it heard of its API server, None when it does
    not say; and "complete", "snapshot" or "incomplete", "" when it does not say.
    """

    age: float | None = None
    state: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One who was asked. `where` is "address:port", or what stands in its place."""

    part: Part
    name: str
    where: str
    said: Reply | Unseen
    itself: Self = Self()

    def __str__(self) -> str:
        return f"{self.part.value} {self.name}"


@dataclass(frozen=True, slots=True)
class SetUp:
    """How cluster DNS is set up, as far as the API shows it.

    `config` is None where there is no ConfigMap coredns, `wanted` are the addresses of mesh-dns's Service,
    `asker` is the mesh-dns pod from inside which Services were asked.
    """

    config: CoreDnsConfig | Unseen | None
    wanted: tuple[str, ...]
    cluster_dns: tuple[str, ...]
    has_node_local: bool = False
    asker: str = ""


@dataclass(frozen=True, slots=True)
class PodView:
    """How a pod resolves names: the servers of its resolv.conf, in order."""

    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """Everything that was seen; `denied` says why the API server's objects give the name no records, `aside`
    who was left out.
    """

    context: str
    query: Query
    steps: tuple[Step, ...]
    set_up: SetUp
    denied: str = ""
    pod_view: PodView | None = None
    aside: tuple[str, ...] = ()

    @property
    def reference(self) -> Step | None:
        """What the others are compared with: the API server, else the first mesh-dns pod that answered."""
        trusted = (Part.API, Part.MESH_POD)
        return next((one for one in self.steps if one.part in trusted and isinstance(one.said, Reply)), None)


@dataclass(frozen=True, slots=True)
class Finding:
    """Who does not say what the API server's objects say, the cause, and what to do."""

    step: Step
    why: str
    next_step: str

"""A hub and three members on real clusters, with ways of different length between the members.

        east --- 5 ms --- south --- 20 ms --- west,  and east --- 60 ms --- west

Members find each other's gateways by relays, one for each direction of who dials whom. The hub is in no mesh.
"""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import yaml

from live.nodes import nodes_of, ruled
from mesh_bench.cpu_share import weigh
from mesh_core.names import GATEWAY, SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed, started
from mesh_fakes.relays import Way, relays
from mesh_local.layout import SetFiles
from mesh_local.set_state import state_of_running

HUB: Final = "hub"
EAST: Final = "east"
SOUTH: Final = "south"
WEST: Final = "west"
MEMBERS: Final = (EAST, SOUTH, WEST)
SHOP: Final = "shop"
ROUND_TRIPS: Final[Mapping[frozenset[str], int]] = {
    frozenset({EAST, SOUTH}): 5,
    frozenset({SOUTH, WEST}): 20,
    frozenset({EAST, WEST}): 60,
}
"""Milliseconds."""
LEASE: Final = {"durationSeconds": 2, "missed": 2}
LOST_AFTER: Final = 6.0
"""Seconds of silence after which the hub calls a member Unreachable: two leases and two seconds."""


@dataclass(frozen=True, slots=True)
class Land:
    """The clusters, and the image of our programs."""

    bed: Bed
    program: str

    @property
    def host(self) -> str:
        """The address of this machine at which all nodes find it."""
        return str(state_of_running(SetFiles(self.bed.folder)).plan.host_address)

    def meshctl(self, *words: str) -> str:
        """What `meshctl` prints, which must succeed."""
        return self.bed.done("--kubeconfig", str(self.bed.kubeconfig), *words)

    def apply(self, cluster: str, *manifests: Mapping[str, Any]) -> None:  # Any: JSON
        """As a person would."""
        file = self.bed.folder / f"applied-{cluster}.yaml"
        file.write_text(yaml.safe_dump_all([dict(one) for one in manifests]))
        self.bed.kubectl(cluster, "apply", "-f", str(file))

    def read(self, cluster: str, *words: str) -> Any:  # Any: JSON
        """What kubectl gets there."""
        return json.loads(self.bed.kubectl(cluster, "get", *words, "-o", "json"))


@contextmanager
def land(folder: Path) -> Iterator[Land]:
    """All four, members linked by relays and registered, while the block runs; nothing is left of it."""
    with started(folder, "--clusters", ",".join((HUB, *MEMBERS))) as bed:
        weigh(bed.folder, processes=4 * len((HUB, *MEMBERS)))
        made = Land(bed, bed.load("program"))
        bed.done("trust", "init", "--dir", str(bed.trust))
        for member in MEMBERS:
            joining = ("join", "--context", member, "--cluster-id", member, "--trust", str(bed.trust))
            made.meshctl(*joining, "--image", made.program, "--service-type", "nodeport")
        for one, other in ((EAST, SOUTH), (SOUTH, WEST), (EAST, WEST)):
            made.meshctl("link", one, other, "--timeout", "240")
        with routed(made):
            registered(made)
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}}
            for cluster in (HUB, *MEMBERS):
                made.apply(cluster, space)
            yield made


@contextmanager
def routed(there: Land) -> Iterator[None]:
    """While the block runs members reach each other by relays alone; the tunnels of before find no way."""
    pairs = list(permutations(MEMBERS, 2))
    ports = {member: gateway_port(there.bed, member) for member in MEMBERS}
    ways = []
    for source, target in pairs:
        delay = ROUND_TRIPS[frozenset({source, target})] / 2000
        ways.append(Way(there.host, (address_of(there.bed, target), ports[target]), delay))
    with relays(ways) as listening, ExitStack() as stack:
        for (source, target), port in zip(pairs, listening, strict=True):
            patch = json.dumps({"spec": {"gateways": [{"host": there.host, "port": port}]}})
            there.bed.kubectl(source, "patch", "meshpeer", target, "--type=merge", "-p", patch)
        for member in MEMBERS:
            others = ", ".join(address_of(there.bed, one) for one in MEMBERS if one != member)
            rule = f"ip saddr {{ {others} }} drop;"
            chains = f"chain comes {{ type filter hook prerouting priority -400; {rule} }}"
            stack.enter_context(ruled(there.bed, member, table="apart", chains=chains))
        yield


def address_of(bed: Bed, cluster: str) -> str:
    """Of its one node."""
    [node] = nodes_of(bed, cluster)
    return str(node.address)


def gateway_port(bed: Bed, cluster: str) -> int:
    """The NodePort of the gateway."""
    path = "jsonpath={.spec.ports[0].nodePort}"
    return int(bed.kubectl(cluster, "-n", SYSTEM_NAMESPACE, "get", "service", GATEWAY, "-o", path))


def registered(there: Land) -> None:
    """All members with the hub, which hears soon that one is silent."""
    there.meshctl("hub", "init", "--context", HUB, "--image", there.program, "--clusterset", "prod")

    def register(member: str) -> None:
        whose = ("--context", member, "--cluster-id", member)
        there.meshctl("register", *whose, "--hub-context", HUB, "--clusterset", "prod")
        patch = json.dumps({"spec": {"lease": LEASE}})
        there.bed.kubectl(HUB, "patch", "clusterregistration", member, "--type=merge", "-p", patch)

    with ThreadPoolExecutor(len(MEMBERS)) as pool:
        list(pool.map(register, MEMBERS))


@contextmanager
def unheard(there: Land, cluster: str) -> Iterator[None]:
    """What goes between the cluster and the hub is lost, in both directions; nothing else is."""
    hub = address_of(there.bed, HUB)
    chains = f"""
  chain comes {{ type filter hook prerouting priority -400; ip saddr {hub} drop; }}
  chain goes {{ type filter hook postrouting priority 400; ip daddr {hub} drop; }}
"""
    with ruled(there.bed, cluster, table="unheard", chains=chains):
        yield

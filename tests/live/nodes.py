"""Nodes of a local set as places of the network: rules of nftables in their namespaces, gone afterwards."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from mesh_fakes.bed import Bed
from mesh_local.layout import SetFiles
from mesh_local.names import names_of
from mesh_local.plan import NodePlan
from mesh_local.set_state import state_of_running

_NODE_PORTS = "30000-32767"


def nft(bed: Bed, node: str, *arguments: str, rules: str = "") -> str:
    """What nft says inside the network of a node."""
    inside = names_of(bed.folder.resolve()).namespace(node)
    ended = subprocess.run(
        ("nsenter", f"--net={inside}", "--", "nft", *arguments),
        input=rules,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@contextmanager
def ruled(bed: Bed, cluster: str, *, table: str, chains: str) -> Iterator[list[NodePlan]]:
    """A table of rules on each node of the cluster; gives the nodes."""
    nodes = nodes_of(bed, cluster)
    with ExitStack() as stack:
        for node in nodes:
            nft(bed, node.name, "-f", "-", rules=f"table inet {table} {{\n{chains}\n}}\n")
            stack.callback(nft, bed, node.name, "delete", "table", "inet", table)
        yield nodes


def nodes_of(bed: Bed, cluster: str) -> list[NodePlan]:
    """The cluster's nodes."""
    plan = state_of_running(SetFiles(bed.folder)).plan
    return [node for one in plan.clusters if one.name == cluster for node in one.nodes]


def others_of(bed: Bed, cluster: str) -> str:
    """The nodes of all other clusters, as nft writes a set of addresses."""
    plan = state_of_running(SetFiles(bed.folder)).plan
    far = [str(node.address) for one in plan.clusters if one.name != cluster for node in one.nodes]
    return f"{{ {', '.join(far)} }}"


@contextmanager
def counted_connections(bed: Bed, cluster: str) -> Iterator[Callable[[], int]]:
    """Counts the TCP connections that the cluster begins to NodePorts of others while the block runs."""
    rule = (
        f"ip daddr {others_of(bed, cluster)} tcp dport {_NODE_PORTS} "
        "tcp flags & (syn | ack) == syn counter accept"
    )
    chains = f"chain goes {{ type filter hook postrouting priority 400; {rule}; }}"
    with ruled(bed, cluster, table="counted", chains=chains) as nodes:

        def count() -> int:
            said = [nft(bed, node.name, "list", "table", "inet", "counted") for node in nodes]
            return sum(int(found) for text in said for found in re.findall(r"packets (\d+)", text))

        yield count


@contextmanager
def closed_inwards(bed: Bed, cluster: str) -> Iterator[None]:
    """No other cluster can begin a connection to this one's NodePorts; what this one begins works."""
    rule = f"ip saddr {others_of(bed, cluster)} tcp dport {_NODE_PORTS} tcp flags & (syn | ack) == syn drop"
    # Before kube-proxy has turned the address into a pod's.
    chains = f"chain comes {{ type filter hook prerouting priority -400; {rule}; }}"
    with ruled(bed, cluster, table="closed", chains=chains):
        yield

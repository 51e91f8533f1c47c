"""Every name that local clusters give to things outside their own folder, and who may be called what.

Laws:
1. Whatever the kernel sees of a set of clusters (its run folder with the network namespaces, its link
   on the host, its cgroup, the mark in its processes' environment) carries the set's id.
2. The id follows from the resolved path of the set's folder alone, so that leftovers are found again
   when every file is gone, and sets in different folders never meet.

Images are named here too: cluster configuration, image building and manifests must agree on them.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

PROGRAM_IMAGE = "meshctl.dev/clusterset-mesh"
CLIENT_IMAGE = "meshctl.dev/client"
COREDNS_IMAGE = "meshctl.dev/coredns:1.15.0"
PAUSE_IMAGE = "meshctl.dev/pause:1"

# Room for "-<n>" in a node's name, and for pod names made of node names.
LONGEST_CLUSTER_NAME = 50
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")

# Environment variables that every process of a set carries; containers do not inherit them.
SET_MARK = "MESHCTL_LOCAL_SET"
COMPONENT_MARK = "MESHCTL_LOCAL_COMPONENT"

_PREFIX = "meshctl-"


@dataclass(frozen=True, slots=True)
class SetNames:
    """The names of one set; `id` is six hex digits."""

    id: str

    @property
    def run_folder(self) -> Path:
        """Holds the network namespaces; beside the set's own folder all that is on the file system."""
        return Path("/run") / f"{_PREFIX}{self.id}"

    @property
    def namespaces(self) -> Path:
        return self.run_folder / "netns"

    @property
    def wan(self) -> Path:
        """The namespace of the bridge between the nodes; no node's name holds an underscore."""
        return self.namespaces / "_wan"

    def namespace(self, node: str) -> Path:
        return self.namespaces / node

    @property
    def host_link(self) -> str:
        """At most 15 characters, as the kernel wants it."""
        return f"{_PREFIX}{self.id}"

    @property
    def cgroup(self) -> str:
        """Below the root of every cgroup hierarchy; each node has a folder in it."""
        return f"{_PREFIX}{self.id}"


def names_of(folder: Path) -> SetNames:
    """The names of the set that lives in `folder` (an absolute, resolved path)."""
    return SetNames(hashlib.sha256(str(folder).encode()).hexdigest()[:6])


def is_cluster_name(name: str) -> bool:
    """Whether it is a DNS label (RFC 1123) that leaves room for the names of nodes."""
    return len(name) <= LONGEST_CLUSTER_NAME and _DNS_LABEL.fullmatch(name) is not None


def node_name(cluster: str, *, position: int) -> str:
    """`east`, `east-2`, `east-3`: positions count from 0."""
    return cluster if position == 0 else f"{cluster}-{position + 1}"

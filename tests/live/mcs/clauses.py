"""What the Multi-Cluster Services API demands, and what this product adds: each under a short id.

R and O are the required and optional specs of the official suite (v0.5.0) in its order, other capitals do not
occur. Small letters: a kinds, c conflicts, d lifecycle, e DNS, f EndpointSlices (KEP-1645, KEP-2149), m this
product. A test's name begins with the ids that it answers for, and `README.md` shows them side by side.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

CLAUSES: Mapping[str, str] = {
    "R01": "an import exists as long as at least one cluster exports it",
    "R02": "an export makes an import of type ClusterSetIP in each cluster, an unexport deletes it",
    "R03": "the session affinity is that of the Service",
    "R04": "the internal traffic policy is that of the Service",
    "R05": "the traffic distribution is that of the Service",
    "R06": "an IP for each family, `ips` and `ipFamilies` in one order and one write",
    "R07": "the ports are those of the Service",
    "R08": "two clusters: the union of ports, and a conflict",
    "R09": "two clusters, conflicting ports: the policy applied, and a conflict on each export",
    "R10": "a headless export makes an import of type Headless in each cluster, an unexport deletes it",
    "R11": "a headless import has no clusterset IP",
    "R12": "an ExternalName Service is not valid",
    "R13": "conflicting headlessness: the policy applied, and a conflict on each export",
    "R14": "what is not exported is not reached",
    "O01": "only the labels and annotations that an export names are propagated",
    "O02": "conflicting labels and annotations: the policy applied, and a conflict on each export",
    "O03": "slices with the standard's labels in each cluster, deleted with the export",
    "O04": "the name of a ClusterSetIP import resolves to its IP",
    "O05": "SRV records of a ClusterSetIP import",
    "O06": "names below cluster.local know local Services only",
    "O07": "the name of a headless import resolves to all ready endpoints",
    "O08": "each pod of a StatefulSet has a name",
    "O09": "SRV records of a headless import",
    "O10": "an exported Service is reached by its name",
    "O11": "only the cluster that exports is reached",
    "O12": "same port name, other number: each port only where it is",
    "O13": "other port names: each port only where it is",
    "a1": "both versions of the API are served and say the same",
    "a3": "`ports` and their protocols are written out",
    "a4": "conditions state the generation, reasons without spaces",
    "a5": "the shadow Service has the name and the form of the reference implementation's",
    "c1": "the oldest export wins, and every cluster shows the same",
    "c2": "a conflict is told to every exporter, and is over when it is resolved; within 2 s",
    "c3": "each property by its own rule, with its own reason",
    "c4": "neither a conflict nor its end disturbs traffic",
    "c5": "when the oldest is unexported the next one rules, and the IP stays",
    "c6": "an export that is not valid takes no part",
    "d1": "an export goes with the Service of its name; Service and cluster.local stay as they are",
    "d2": "imports only where the namespace exists: at once when it comes, nothing while it goes",
    "d3": "an import is there whether or not anything is ready, in the exporters too",
    "d4": "what is deleted or changed by hand is restored, with the same IP",
    "d5": "the status names the exporting clusters, and Ready",
    "d6": "somebody's own import is not overwritten",
    "d7": "ClusterProperties for the cluster's id and its clusterset",
    "d8": "a Lease for each source cluster",
    "e1": "the records of the DNS specification, and its version",
    "e2": "NXDOMAIN and NODATA",
    "e4": "an endpoint without a host name is called by its address with dashes",
    "e5": "SRV at the bare name, each target once, authoritative",
    "f1": "a slice has endpoints of one cluster only",
    "f2": "a slice has the labels of its import and its source, and states its manager",
    "f4": "a port that lost the merge is not in its cluster's slices",
    "f5": "host names and conditions are carried, nodes of other clusters are not",
    "f6": "no imported slice is one of the user's own Service",
    "f7": "endpoints that fit into one slice are not split",
    "f8": "the exporter has slices of its own endpoints",
    "f10": "the status says whether there are slices",
    "m1": "per-pod names of a StatefulSet connect, between networks too",
    "m2": "they stay over a restart of the pod, between networks with their address",
    "m3": "named target ports that differ between pods are followed",
    "m4": "a Service without a selector is exported like any other",
    "m5": "UDP is carried on one network and between networks",
    "m6": "SCTP is refused by a condition",
    "m7": "an annotation that is not understood withholds the export",
    "m8": "`meshctl.dev/allow`: nobody else can use it, all see it",
    "m9": "`local-first`: local pods while one is ready",
    "m10": "calls are shared by ready endpoints",
    "m11": "zone hints on all slices or on none",
    "m12": "internal traffic policy Local sets other clusters aside",
    "m13": "a restart of the controllers changes no object",
}

HERE = Path(__file__).parent
_ID = re.compile(r"[A-Z]\d\d|[a-z]\d{1,2}")


def names_of_tests() -> list[str]:
    """All tests of this folder, in the order of files and lines."""
    trees = [ast.parse(path.read_text()) for path in sorted(HERE.glob("test_mcs_*.py"))]
    nodes = [node for tree in trees for node in tree.body]
    return [
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


def claimed_by(name: str) -> list[str]:
    """The ids at the beginning of a test's name."""
    found: list[str] = []
    for word in name.split("_")[1:]:
        if not _ID.fullmatch(word):
            break
        found.append(word)
    return found


def table(names: Sequence[str]) -> str:
    """The page's table: each clause with its tests."""
    rows = ["| id | what is asked | test |", "|---|---|---|"]
    for clause, text in CLAUSES.items():
        tests = "<br>".join(f"`{name}`" for name in names if clause in claimed_by(name))
        rows.append(f"| {clause} | {text} | {tests} |")
    return "\n".join(rows)

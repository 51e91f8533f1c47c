"""What a real cluster shows to people, searched for private keys, and our logs for rights that were lacking.

Pod logs, events, and every object but the Secrets themselves."""

import json
import re
from collections.abc import Iterator

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_fakes.shown_keys import marks_in

_KINDS = (
    "configmaps,services,pods,deployments.apps,replicasets.apps,serviceaccounts,leases.coordination.k8s.io,"
    "endpointslices.discovery.k8s.io,events,events.events.k8s.io,"
    "serviceexports.multicluster.x-k8s.io,serviceimports.multicluster.x-k8s.io,"
    "importedrecords.meshctl.dev,importedshards.meshctl.dev,serviceprobes.meshctl.dev"
)
_WIDE = (
    "meshpeers.meshctl.dev,trustbundles.meshctl.dev,clusterproperties.about.k8s.io,"
    "certificatesigningrequests.certificates.k8s.io,namespaces,nodes"
)
# Our accounts, and on a hub those of its members' agents, by either driver.
_OURS = r'\\*"(?:system:serviceaccount:(?:meshctl-system|cluster-[^: ]+):|meshctl:cluster:)[^ ]+'
_DENIED = re.compile(
    rf"[Uu]ser {_OURS} (?:cannot \w+ resource [^ ]+|\(groups=.{{0,400}}\) is attempting to grant RBAC)"
    r"|ValidatingAdmissionPolicy '[^']+' .{0,120} denied request"
)
_PARTS = "app.kubernetes.io/part-of=clusterset-mesh"


def shown(bed: Bed, cluster: str) -> Iterator[tuple[str, str]]:
    """(what it is, its text): everything but the Secrets themselves."""
    system = ("-n", SYSTEM_NAMESPACE)
    yield "objects", bed.kubectl(cluster, "get", _KINDS, "--all-namespaces", "-o", "yaml")
    yield "cluster's objects", bed.kubectl(cluster, "get", _WIDE, "-o", "yaml")
    yield "secrets by name", bed.kubectl(cluster, "describe", "secrets", *system)
    yield from logs(bed, cluster)


def logs(bed: Bed, cluster: str) -> Iterator[tuple[str, str]]:
    """(which log, its text) of each pod of ours."""
    system = ("-n", SYSTEM_NAMESPACE)
    pods = json.loads(bed.kubectl(cluster, "get", "pods", *system, "-l", _PARTS, "-o", "json"))["items"]
    assert pods, f"no pod of ours in {cluster}: nothing was looked at"
    for pod in pods:
        name = pod["metadata"]["name"]
        yield f"log of {name}", bed.kubectl(cluster, "logs", *system, name, "--all-containers", "--tail=-1")


def keys_shown(bed: Bed, *clusters: str) -> list[str]:
    """Where something that looks like a private key stands, in the clusters."""
    return [
        f"{cluster}: {what}: {mark}"
        for cluster in clusters
        for what, text in shown(bed, cluster)
        for mark in marks_in(text)
    ]


def rights_missed(bed: Bed, *clusters: str) -> list[str]:
    """What our programs were refused because no rule lets them, or a policy of ours fences them."""
    return [
        f"{cluster}: {what}: {found}"
        for cluster in clusters
        for what, text in logs(bed, cluster)
        for found in denials_in(text)
    ]


def denials_in(text: str) -> list[str]:
    """What a log tells of rights that were lacking."""
    return [found.group() for found in _DENIED.finditer(text)]

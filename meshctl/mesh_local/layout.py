"""Where the files of a set of clusters are, below the one folder that holds it.

meshctl-local.json      what was asked for; the mark of a set
kubeconfig              a context for each cluster, named as the cluster (0600)
<cluster>/              .meshctl-local marks it as ours to remove
    *.log               one for each component; those of further nodes end in -2.log, -3.log
    pki/  kubeconfigs/  keys, certificates and who the components are (0700)
    etcd/               the cluster's data
    audit-policy.json   audit.jsonl: what was asked of the API server, where that is wanted
    node-1/ node-2/     configuration and data of each node
"""

from dataclasses import dataclass
from pathlib import Path

from mesh_local.plan import ClusterPlan, NodePlan

CLUSTER_MARK = ".meshctl-local"


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """The files of one node; `folder` is below its cluster's."""

    cluster: Path
    position: int

    @property
    def folder(self) -> Path:
        return self.cluster / f"node-{self.position + 1}"

    def log(self, component: str) -> Path:
        suffix = "" if self.position == 0 else f"-{self.position + 1}"
        return self.cluster / f"{component}{suffix}.log"

    @property
    def start_script(self) -> Path:
        return self.folder / "start.sh"

    @property
    def started(self) -> Path:
        """What became of the start script: `ready` or `failed`."""
        return self.folder / "started"

    @property
    def masquerade(self) -> Path:
        return self.folder / "masquerade.nft"

    @property
    def containerd_config(self) -> Path:
        return self.folder / "containerd.toml"

    @property
    def cni(self) -> Path:
        return self.folder / "cni"

    @property
    def kubelet_config(self) -> Path:
        return self.folder / "kubelet.yaml"

    @property
    def proxy_config(self) -> Path:
        return self.folder / "kube-proxy.yaml"

    @property
    def resolv_conf(self) -> Path:
        return self.folder / "resolv.conf"

    @property
    def containerd_data(self) -> Path:
        return self.folder / "containerd"

    @property
    def kubelet_data(self) -> Path:
        return self.folder / "kubelet"

    @property
    def pod_logs(self) -> Path:
        return self.folder / "pod-logs"


@dataclass(frozen=True, slots=True)
class ClusterFiles:
    """The files of one cluster."""

    folder: Path

    @property
    def mark(self) -> Path:
        return self.folder / CLUSTER_MARK

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    def certificate(self, name: str) -> Path:
        return self.pki / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.pki / f"{name}.key"

    def kubeconfig(self, user: str) -> Path:
        return self.folder / "kubeconfigs" / user

    @property
    def etcd(self) -> Path:
        return self.folder / "etcd"

    @property
    def audit_policy(self) -> Path:
        return self.folder / "audit-policy.json"

    @property
    def audit_log(self) -> Path:
        """One JSON object a line; who asked, for what, and what the answer was."""
        return self.folder / "audit.jsonl"

    def node(self, node: NodePlan) -> NodeFiles:
        return NodeFiles(cluster=self.folder, position=node.position)


@dataclass(frozen=True, slots=True)
class SetFiles:
    """The files of a set; `folder` is absolute and resolved."""

    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "meshctl-local.json"

    @property
    def state_part(self) -> Path:
        """Where the state is written before it takes its name."""
        return self.folder / "meshctl-local.part"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def cluster(self, cluster: ClusterPlan) -> ClusterFiles:
        return ClusterFiles(self.folder / cluster.name)


def files_in(folder: Path) -> SetFiles:
    """The files of the set in `folder`, which need not exist and may be relative."""
    return SetFiles(folder.resolve())

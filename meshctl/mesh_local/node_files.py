"""Writing what a node's servers read: everything of `node_config` and `node_start`, in its place."""

from mesh_local.layout import ClusterFiles
from mesh_local.names import SetNames
from mesh_local.node_config import (
    cni_network,
    containerd_toml,
    kubelet_config,
    masquerade_rules,
    proxy_config,
    resolv_conf,
)
from mesh_local.node_start import Needs, start_script
from mesh_local.plan import ClusterPlan, NodePlan, SetPlan

# Where Debian's containernetworking-plugins are.
CNI_PLUGINS = "/usr/lib/cni"


def write_node_files(
    plan: SetPlan,
    *,
    cluster: ClusterPlan,
    node: NodePlan,
    names: SetNames,
    files: ClusterFiles,
    needs: Needs,
) -> None:
    """Writes a node's configuration over whatever is there, and makes its data folders."""
    own = files.node(node)
    own.folder.mkdir(parents=True, exist_ok=True)
    texts = {own.start_script: start_script(own, needs=needs, light=cluster.light)}
    if not cluster.light:
        for folder in (own.cni, own.containerd_data, own.kubelet_data, own.pod_logs):
            folder.mkdir(exist_ok=True)
        texts |= {
            own.masquerade: masquerade_rules(node, plain=plan.reachable_pods(cluster)),
            own.containerd_config: containerd_toml(own, plugins=CNI_PLUGINS),
            own.cni / "10-pods.conflist": cni_network(node),
            own.kubelet_config: kubelet_config(cluster, node=node, names=names, files=files),
            own.proxy_config: proxy_config(cluster, node=node, files=files),
            own.resolv_conf: resolv_conf(cluster),
        }
    for path, text in texts.items():
        path.write_text(text)

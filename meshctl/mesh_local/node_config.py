"""What containerd, the CNI plugins, kubelet and kube-proxy of a node are told: pure.

Laws:
1. Everything a node does stays within it: paths that are fixed in those programs are private to the
   node (`node_start`), the rest is below the node's folder.
2. Pods depend on nothing of the host's: not on its resolv.conf, its swap, its kind of cgroups.
"""

import json
from collections.abc import Sequence
from ipaddress import IPv4Network

from mesh_local.layout import ClusterFiles, NodeFiles
from mesh_local.names import PAUSE_IMAGE, SetNames
from mesh_local.pki import AUTHORITY, PROXY, kubelet_identity
from mesh_local.plan import ClusterPlan, NodePlan

# The link of a node to the others.
UPLINK = "eth0"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

# Snapshotters and tracers that only warn when the machine has nothing for them.
_UNWANTED = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
)


def node_cgroup(names: SetNames, *, node: str) -> str:
    """Path below the root of every cgroup hierarchy."""
    return f"{names.cgroup}/{node}"


def containerd_toml(files: NodeFiles, *, plugins: str) -> str:
    """Containerd's configuration; `plugins` is the folder of the CNI plugins.

    JSON's strings and lists of strings are TOML's too.
    """
    return f"""version = 2
disabled_plugins = {json.dumps(_UNWANTED)}

[plugins."io.containerd.grpc.v1.cri"]
# Without CAP_SYS_RESOURCE a lower score cannot be set, and every sandbox would fail.
restrict_oom_score_adj = true
sandbox_image = {json.dumps(PAUSE_IMAGE)}
stream_server_address = "127.0.0.1"
# Else the namespaces of pods would be mounted where the host sees them.
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {json.dumps(plugins)}
conf_dir = {json.dumps(str(files.cni))}

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""


def cni_network(node: NodePlan) -> str:
    """A bridge for the node's pods.

    Its own masquerading would hide pods of other nodes from each other; see `masquerade_rules`.
    """
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": str(node.pods)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, portmap]}, indent=1)


def masquerade_rules(node: NodePlan, *, plain: Sequence[IPv4Network]) -> str:
    """What nft loads: pods leave with the node's address, except towards the pod ranges in `plain`."""
    targets = ", ".join(str(network) for network in plain)
    return f"""table ip meshctl {{
  chain leave {{
    type nat hook postrouting priority 110;
    ip saddr {node.pods} ip daddr != {{ {targets} }} oifname "{UPLINK}" masquerade
  }}
}}
"""


def resolv_conf(cluster: ClusterPlan) -> str:
    """For pods that ask for the node's DNS. There is no other than the cluster's, and no search list;
    without any server containerd would hand out the host's file."""
    return f"nameserver {cluster.dns_address}\n"


def kubelet_config(cluster: ClusterPlan, *, node: NodePlan, names: SetNames, files: ClusterFiles) -> str:
    """A KubeletConfiguration."""
    identity = kubelet_identity(node.name)
    return _document(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(files.certificate(AUTHORITY))},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(files.certificate(identity)),
            "tlsPrivateKeyFile": str(files.key(identity)),
            "rotateCertificates": False,
            "clusterDomain": "cluster.local",
            "clusterDNS": [str(cluster.dns_address)],
            "resolvConf": str(files.node(node).resolv_conf),
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            **_machine_settings(names, node=node),
            # A changed ConfigMap reaches its pods at the next sync.
            "syncFrequency": "2s",
            "serializeImagePulls": False,
            "registryPullQPS": 0,
            "eventRecordQPS": 0,
        }
    )


def _machine_settings(names: SetNames, *, node: NodePlan) -> dict[str, object]:
    """What makes kubelet content with a machine that it shares with others."""
    return {
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node_cgroup(names, node=node.name)}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": False,
        "makeIPTablesUtilChains": False,
        # The disk is the machine's: filling up is not for this node to cure.
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
    }


def kubelet_arguments(*, node: NodePlan, files: ClusterFiles) -> tuple[str, ...]:
    """Data folders are kubelet's defaults, which `node_start` puts below the node's folder."""
    return (
        f"--config={files.node(node).kubelet_config}",
        f"--kubeconfig={files.kubeconfig(kubelet_identity(node.name))}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
    )


def proxy_config(cluster: ClusterPlan, *, node: NodePlan, files: ClusterFiles) -> str:
    """A KubeProxyConfiguration; with it kube-proxy ignores all flags, so it holds everything."""
    return _document(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clusterCIDR": str(cluster.pods),
            "detectLocalMode": "ClusterCIDR",
            "hostnameOverride": node.name,
            "clientConnection": {"kubeconfig": str(files.kubeconfig(PROXY))},
            # Zero leaves the settings, which are the whole machine's, alone.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        }
    )


def _document(content: dict[str, object]) -> str:
    """JSON is YAML."""
    return json.dumps(content, indent=1)

"""The command lines of etcd, API server, controller manager and scheduler: pure.

What is not set here is Kubernetes' own default: admission (with NodeRestriction, as kubeadm has it),
feature gates, Pod Security, the range of NodePorts.
"""

import json

from mesh_local.binaries import Component
from mesh_local.layout import ClusterFiles
from mesh_local.pki import (
    API_SERVER,
    API_SERVER_TO_KUBELET,
    AUTHORITY,
    CONTROLLER_MANAGER,
    FRONT_AUTHORITY,
    FRONT_PROXY,
    SCHEDULER,
    SERVICE_ACCOUNTS,
)
from mesh_local.plan import ClusterPlan

# Inside the node's own network namespace, so every cluster has these to itself.
_ETCD_CLIENTS = "http://127.0.0.1:2379"
_ETCD_PEERS = "http://127.0.0.1:2380"


def control_plane(cluster: ClusterPlan, *, files: ClusterFiles) -> dict[Component, tuple[str, ...]]:
    """The arguments of each server of the control plane, in the order in which they are started."""
    servers = {
        Component.ETCD: _etcd(files),
        Component.API_SERVER: _api_server(cluster, files=files),
    }
    if not cluster.light:
        servers |= {
            Component.CONTROLLER_MANAGER: _controller_manager(files),
            Component.SCHEDULER: (f"--kubeconfig={files.kubeconfig(SCHEDULER)}", "--leader-elect=false"),
        }
    return servers


def _etcd(files: ClusterFiles) -> tuple[str, ...]:
    return (
        f"--data-dir={files.etcd}",
        f"--listen-client-urls={_ETCD_CLIENTS}",
        f"--advertise-client-urls={_ETCD_CLIENTS}",
        f"--listen-peer-urls={_ETCD_PEERS}",
        # The machine may lose power and with it this cluster; in return a write costs no disk wait.
        "--unsafe-no-fsync",
        "--log-level=warn",
    )


def _api_server(cluster: ClusterPlan, *, files: ClusterFiles) -> tuple[str, ...]:
    arguments = (
        f"--etcd-servers={_ETCD_CLIENTS}",
        f"--advertise-address={cluster.first.address}",
        "--secure-port=6443",
        f"--service-cluster-ip-range={cluster.services}",
        f"--tls-cert-file={files.certificate(API_SERVER)}",
        f"--tls-private-key-file={files.key(API_SERVER)}",
        f"--client-ca-file={files.certificate(AUTHORITY)}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--enable-bootstrap-token-auth",
        "--allow-privileged",
        "--profiling=false",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={files.pki / SERVICE_ACCOUNTS}.pub",
        f"--service-account-signing-key-file={files.key(SERVICE_ACCOUNTS)}",
        *_to_kubelets(files),
        *_aggregation(files),
    )
    if cluster.light:
        # Nobody asks the Service `kubernetes` where the API server is; without this its stop is slow.
        arguments += ("--endpoint-reconciler-type=none",)
    if cluster.audit:
        arguments += (
            f"--audit-policy-file={files.audit_policy}",
            f"--audit-log-path={files.audit_log}",
        )
    return arguments


def audit_policy() -> str:
    """Who asked for what and how it ended, but no body: Secrets would lie in the log."""
    # A watch is written down when it begins, and not for the first time when it ends.
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }
    return json.dumps(policy, indent=1)


def _to_kubelets(files: ClusterFiles) -> tuple[str, ...]:
    return (
        f"--kubelet-client-certificate={files.certificate(API_SERVER_TO_KUBELET)}",
        f"--kubelet-client-key={files.key(API_SERVER_TO_KUBELET)}",
        f"--kubelet-certificate-authority={files.certificate(AUTHORITY)}",
        # Otherwise exec and logs ask a DNS that does not know the node.
        "--kubelet-preferred-address-types=InternalIP",
    )


def _aggregation(files: ClusterFiles) -> tuple[str, ...]:
    return (
        "--enable-aggregator-routing",
        f"--proxy-client-cert-file={files.certificate(FRONT_PROXY)}",
        f"--proxy-client-key-file={files.key(FRONT_PROXY)}",
        f"--requestheader-client-ca-file={files.certificate(FRONT_AUTHORITY)}",
        f"--requestheader-allowed-names={FRONT_PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    )


def _controller_manager(files: ClusterFiles) -> tuple[str, ...]:
    return (
        f"--kubeconfig={files.kubeconfig(CONTROLLER_MANAGER)}",
        "--leader-elect=false",
        "--controllers=*,bootstrapsigner,tokencleaner",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={files.key(SERVICE_ACCOUNTS)}",
        f"--root-ca-file={files.certificate(AUTHORITY)}",
        f"--cluster-signing-cert-file={files.certificate(AUTHORITY)}",
        f"--cluster-signing-key-file={files.key(AUTHORITY)}",
        # It makes a token for each of its controllers at the start: at the default rate that takes 4 s.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        # The plan gives every node its range; a fresh node is seen as ready within this period.
        "--allocate-node-cidrs=false",
        "--node-monitor-period=2s",
    )

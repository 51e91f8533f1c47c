"""CoreDNS as the cluster's DNS, in the form that kubeadm gives it: pure.

Deployment, ConfigMap `coredns` with the key `Corefile`, Service `kube-dns` at the tenth address, so
that whatever edits a real cluster's DNS works here unchanged. What differs: there is no DNS beyond the
cluster, so nothing is forwarded and every foreign name gets NXDOMAIN at once; changes of the Corefile
are taken up within seconds; answers are cached for 5 s, as long as the cluster's own records live.
"""

from collections.abc import Mapping
from typing import Any

from mesh_local.names import COREDNS_IMAGE
from mesh_local.plan import ClusterPlan

NAMESPACE = "kube-system"
DEPLOYMENT = "coredns"

COREFILE = """.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 5
    }
    file /etc/coredns/root.zone .
    prometheus :9153
    cache 5
    reload 2s 1s
    loadbalance
}
"""

# All names that the plugins before `file` do not know; without it they would fail instead of not exist,
# and failures are asked for again. (`template` could not say it: it goes before `kubernetes`.)
ROOT_ZONE = """. 5 IN SOA ns.invalid. nobody.invalid. 1 60 60 60 5
. 5 IN NS ns.invalid.
"""

_LABELS = {"k8s-app": "kube-dns"}

# A manifest is JSON: its values are whatever JSON has, hence Any.
Manifest = Mapping[str, Any]


def dns_manifests(cluster: ClusterPlan) -> list[Manifest]:
    """The objects in the order in which they are applied."""
    return [
        _namespaced("v1", "ServiceAccount"),
        _cluster_role(),
        _cluster_role_binding(),
        {**_namespaced("v1", "ConfigMap"), "data": {"Corefile": COREFILE, "root.zone": ROOT_ZONE}},
        {**_namespaced("apps/v1", "Deployment"), "spec": _deployment_spec()},
        _service(cluster),
    ]


def _namespaced(api_version: str, kind: str) -> dict[str, Any]:
    metadata = {"name": DEPLOYMENT, "namespace": NAMESPACE, "labels": _LABELS}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _cluster_role() -> Manifest:
    core = ["endpoints", "services", "pods", "namespaces"]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:coredns"},
        "rules": [
            {"apiGroups": [""], "resources": core, "verbs": ["list", "watch"]},
            {
                "apiGroups": ["discovery.k8s.io"],
                "resources": ["endpointslices"],
                "verbs": ["list", "watch"],
            },
        ],
    }


def _cluster_role_binding() -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "system:coredns"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:coredns",
        },
        "subjects": [{"kind": "ServiceAccount", "name": DEPLOYMENT, "namespace": NAMESPACE}],
    }


def _deployment_spec() -> Manifest:
    return {
        "replicas": 1,
        "selector": {"matchLabels": _LABELS},
        "template": {"metadata": {"labels": _LABELS}, "spec": _pod_spec()},
    }


def _pod_spec() -> Manifest:
    return {
        "serviceAccountName": DEPLOYMENT,
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
        "containers": [_container()],
        "volumes": [{"name": "config-volume", "configMap": {"name": DEPLOYMENT}}],
    }


def _container() -> Manifest:
    return {
        "name": "coredns",
        "image": COREDNS_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9153, "protocol": "TCP"},
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": 8080},
            "initialDelaySeconds": 30,
        },
        "resources": {"requests": {"cpu": "50m", "memory": "70Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "config-volume", "mountPath": "/etc/coredns", "readOnly": True},
        ],
    }


def _service(cluster: ClusterPlan) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": NAMESPACE,
            "labels": {
                **_LABELS,
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "clusterIP": str(cluster.dns_address),
            "selector": _LABELS,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                {"name": "metrics", "port": 9153, "protocol": "TCP"},
            ],
        },
    }

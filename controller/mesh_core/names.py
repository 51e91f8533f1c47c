"""The names that more than one room must spell alike: namespaces, ports, labels, annotations.

Kubernetes' and the MCS API's own names are given where the standard gives them (KEP-1645, KEP-2149);
the others are ours and begin with `meshctl`.
"""

import base64
import hashlib

SYSTEM_NAMESPACE = "meshctl-system"

# Deployment, ServiceAccount and Service of a component share one name.
CONTROLLER = "meshctl-controller"
GATEWAY = "meshctl-gateway"
DNS = "meshctl-dns"

MANAGER = "controller.meshctl.dev"
"""Who manages an object: value of `LABEL_MANAGED_BY` and `LABEL_SLICE_MANAGED_BY`, and field manager."""

# KEP-1645 (MCS API) and KEP-2149 (About API).
LABEL_SERVICE_NAME = "multicluster.kubernetes.io/service-name"
LABEL_SOURCE_CLUSTER = "multicluster.kubernetes.io/source-cluster"
ANNOTATION_DERIVED_SERVICE = "multicluster.kubernetes.io/derived-service"
PROPERTY_CLUSTER_ID = "cluster.clusterset.k8s.io"
PROPERTY_CLUSTERSET = "clusterset.k8s.io"
CLUSTERSET_ZONE = "clusterset.local"

# Kubernetes.
LABEL_KUBERNETES_SERVICE = "kubernetes.io/service-name"
LABEL_SLICE_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"

# Ours.
ANNOTATION_PREFIX = "meshctl.dev/"
ANNOTATION_READY_ENDPOINTS = "meshctl.dev/ready-endpoints"
"""On a remote cluster's slice: JSON object, port name to the number of ready endpoints behind it there."""
TRUST_BUNDLE = "clusterset"
INTERMEDIATE_SECRET = "meshctl-intermediate"
RESTING_PORTS_CONFIG_MAP = "meshctl-resting-ports"
SIGNER_INTERMEDIATE = "meshctl.dev/intermediate"
SIGNER_LEAF = "meshctl.dev/leaf"
DEFAULT_DOMAIN = "clusterset.internal"

GATEWAY_PORT = 15443
GATEWAY_PORT_NAME = "mesh"
PEER_STREAM_PORT = 15445
PEER_STREAM_PORT_NAME = "peer"
HEALTH_PORT = 15480
DNS_PORT = 5353
EGRESS_PORTS = range(16384, 32768)
"""Ports that imports get on the egress gateway: below Linux's ephemeral range (32768 to 60999), because a
port that any outgoing connection holds cannot be bound."""

ALPN_STREAM = "meshctl/1"
ALPN_PEER = "meshctl-peer/1"


def shadow_service_name(*, namespace: str, name: str) -> str:
    """Name of the shadow Service behind the import `namespace/name`: `derived-` and ten characters.

    The form is that of the reference implementation in kubernetes-sigs/mcs-api, so that readers who know
    it recognise the object: lower-case base32hex without padding of sha256("<namespace>/<name>").
    """
    digest = hashlib.sha256(f"{namespace}/{name}".encode()).digest()
    text = base64.b32hexencode(digest).decode().rstrip("=").lower()
    return f"derived-{text[:10]}"


def peer_lease_name(*, cluster: str) -> str:
    """Name of the Lease in `SYSTEM_NAMESPACE` whose renewTime is the last contact with `cluster`."""
    return f"peer-{cluster}"


def imported_record_name(*, cluster: str, namespace: str, service: str) -> str:
    """Name of the ImportedRecord for one exported Service of one peer; at most 191 characters."""
    return f"{cluster}.{namespace}.{service}"

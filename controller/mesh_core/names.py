"""The names that more than one room must spell alike: namespaces, ports, labels, annotations.

Kubernetes' and the MCS API's own names are given where the standard gives them (KEP-1645, KEP-2149);
the others are ours and begin with `meshctl`.
"""

import base64
import hashlib
from functools import lru_cache

SYSTEM_NAMESPACE = "meshctl-system"

# Deployment, ServiceAccount and Service of a component share one name.
CONTROLLER = "meshctl-controller"
GATEWAY = "meshctl-gateway"
GATEWAY_INNER = "meshctl-gateway-inner"
"""Service of the gateways' inner door."""
DNS = "meshctl-dns"
ACCESS = "placement-access"
"""The proxy to the API servers of a hub's clusters (`mesh_placement.access`)."""
HUB = "placement-hub"
"""The hub's program (`mesh_placement.hub`), which may deliver to clusters by the same way."""

MANAGER = "controller.meshctl.dev"
"""Who manages an object: value of `LABEL_MANAGED_BY` and `LABEL_SLICE_MANAGED_BY`, and field manager."""

# KEP-1645 (MCS API) and KEP-2149 (About API).
LABEL_SERVICE_NAME = "multicluster.kubernetes.io/service-name"
LABEL_SOURCE_CLUSTER = "multicluster.kubernetes.io/source-cluster"
ANNOTATION_DERIVED_SERVICE = "multicluster.kubernetes.io/derived-service"
PROPERTY_CLUSTER_ID = "cluster.clusterset.k8s.io"
PROPERTY_CLUSTERSET = "clusterset.k8s.io"
PROPERTY_NETWORK = "network.meshctl.dev"
"""Name of the network whose clusters route pod addresses to each other; absent: a network of its own."""
CLUSTERSET_ZONE = "clusterset.local"
PROPERTY_ZONE_SCOPE = "zone-scope.meshctl.dev"
"""`<provider>/<region>`: zone names mean the same in clusters that state the same."""

# Kubernetes.
LABEL_KUBERNETES_SERVICE = "kubernetes.io/service-name"
LABEL_SLICE_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"

CLUSTER_DNS_LABEL = ("kube-system", "k8s-app", "kube-dns")
"""Namespace, key and value of the label that Services of cluster DNS have in most distributions, and so have
their slices."""
CLUSTER_DNS_SERVICES = (
    ("kube-system", "kube-dns"),
    ("openshift-dns", "dns-default"),
    ("kube-system", "rke2-coredns-rke2-coredns"),
    ("kube-system", "coredns"),
)
"""Namespace and name of that Service, by distribution; where there are several, the first counts."""

# Ours.
ANNOTATION_PREFIX = "meshctl.dev/"
ANNOTATION_READY_ENDPOINTS = "meshctl.dev/ready-endpoints"
"""On a remote cluster's slice: JSON object, port name to the number of ready endpoints behind it there."""
ANNOTATION_SIGNATURE = "meshctl.dev/signature"
"""On an ImportedRecord or ImportedShard: what the exporter signed it with (`mesh_core.record_signature`)."""
ANNOTATION_SIGNED_BY = "meshctl.dev/signed-by"
"""Beside it: SHA-256 of the certificate whose key made it, hexadecimal."""
ANNOTATION_ALLOW = "meshctl.dev/allow"
ANNOTATION_PROXY_PROTOCOL = "meshctl.dev/proxy-protocol"
ANNOTATION_PUBLIC = "meshctl.dev/public"
ANNOTATION_TRAFFIC = "meshctl.dev/traffic"
ANNOTATION_TARGET_PORTS = "meshctl.dev/target-ports"
"""On a stand-in's slice: JSON object, port name to the port number of the endpoint in its own cluster."""
ANNOTATION_GONE_SINCE = "meshctl.dev/gone-since"
"""On a stand-in Service: since when (RFC 3339) its endpoint is not listed any more."""
ANNOTATION_TRUST_GENERATION = "meshctl.dev/trust-generation"
"""On the Lease of a gateway: the generation of the trust bundle that it has settled on."""
ANNOTATION_STATEMENT_SEEN = "meshctl.dev/statement-seen"
"""On the intermediate's Secret: domain/generation of the newest statement (`mesh_core.statement_seen`)."""
ANNOTATION_LEAVING = "meshctl.dev/leaving"
"""On the TrustBundle: since when (RFC 3339) this cluster leaves the clusterset (`mesh_core.leaving`)."""
LABEL_CLUSTER = "meshctl.dev/cluster"
LABEL_NAMESPACE = "meshctl.dev/namespace"
LABEL_SERVICE = "meshctl.dev/service"
LABEL_ENDPOINT = "meshctl.dev/endpoint"
"""On a stand-in Service and its slice: hostname of the endpoint, or its address with dashes."""
LABEL_LANE = "meshctl.dev/lane"
"""On a slice that only gives kube-proxy more ways to the gateways: its number, from 1."""
LABEL_REPLICA = "meshctl.dev/replica"
"""On the Lease of a gateway: `GATEWAY` (`mesh_core.replicas`)."""
TRUST_BUNDLE = "clusterset"
INTERMEDIATE_SECRET = "meshctl-intermediate"
ISSUER_SECRET = "meshctl-issuer"
"""The key by which this cluster lets others in (ruling 2); made empty by whoever wants it to."""
INVITATIONS_SECRET = "meshctl-invitations"
JOIN_TOKEN_SECRET = "meshctl-join-token"
"""The invitation by which this cluster comes in; gone once it has."""
RESTING_PORTS_CONFIG_MAP = "meshctl-resting-ports"
SIGNER_INTERMEDIATE = "meshctl.dev/intermediate"
SIGNER_ISSUER = "meshctl.dev/issuer"
SIGNER_LEAF = "meshctl.dev/leaf"
RESERVED_PEER = "peer"
RESERVED_API_SERVER = "kube-apiserver"
"""Reserved targets of gateways (docs/wire.md); the second is consented to in `spec.access` of MeshPeers."""
DEFAULT_DOMAIN = "clusterset.internal"

GATEWAY_PORT = 15443
GATEWAY_PORT_NAME = "mesh"
INNER_PORT = 15444
"""Of the gateway, for the other programs of its own cluster (ruling 18)."""
PEER_STREAM_PORT = 15445
PEER_STREAM_PORT_NAME = "peer"
JOIN_PORT = 15446
"""Of the controller, for who comes with an invitation; it listens only while one is open."""
JOIN_PORT_NAME = "join"
HEALTH_PORT = 15480
DEBUG_PORT = 15481
"""Of the gateway, on the loopback of its pod only."""
DNS_PORT = 5353
EGRESS_PORTS = range(16384, 32768)
"""Ports that imports get on the egress gateway: below Linux's ephemeral range (32768 to 60999), because a
port that any outgoing connection holds cannot be bound."""

ALPN_STREAM = "meshctl/1"
ALPN_TUNNEL = "meshctl-tunnel/1"
ALPN_PEER = "meshctl-peer/1"
ALPN_INNER = "meshctl-inner/1"
ALPN_JOIN = "meshctl-join/1"


def shadow_service_name(*, namespace: str, name: str) -> str:
    """Name of the shadow Service behind the import `namespace/name`: `derived-` and ten characters.

    The form is that of the reference implementation in kubernetes-sigs/mcs-api, so that readers who know
    it recognise the object: lower-case base32hex without padding of sha256("<namespace>/<name>").
    """
    return f"derived-{_digest(f'{namespace}/{name}')}"


def stand_in_name(*, cluster: str, namespace: str, service: str, endpoint: str) -> str:
    """Name of the stand-in Service in `SYSTEM_NAMESPACE` for one endpoint of a headless import."""
    # As long as it is, because a peer chooses hostnames: nobody must find one that has another's name.
    return f"stand-in-{_digest(f'{cluster}/{namespace}/{service}/{endpoint}', length=26)}"


def shard_name(*, slice_name: str, part: int) -> str:
    """Name of one shard of a Service's endpoints: ten characters that stay as long as the slice does."""
    return _digest(f"{slice_name}/{part}")


def endpoint_label(*, hostname: str | None, address: str) -> str:
    """The name of an endpoint in DNS and labels: its hostname, else its address with dashes.

    As CoreDNS spells it: a name that would end in a dash gets a 0 (fd00:: becomes fd00--0).
    """
    if hostname:
        return hostname
    dashed = address.replace(".", "-").replace(":", "-")
    return f"{dashed}0" if dashed.endswith("-") else dashed


@lru_cache(maxsize=1 << 16)
def _digest(text: str, *, length: int = 10) -> str:
    """The first lower-case characters of base32hex of the text's SHA-256."""
    digest = hashlib.sha256(text.encode()).digest()
    return base64.b32hexencode(digest).decode()[:length].lower()


def join_server_name(*, cluster: str, domain: str) -> str:
    """The name that asks a gateway of `cluster` for its door for newcomers."""
    return f"join.{cluster}.{domain}"


def reserved_server_name(reserved: str, *, cluster: str, domain: str) -> str:
    """The name that asks our own gateways' inner door for a reserved target of `cluster`; `peer` also at the
    cluster's gateways themselves. Of 253 characters at most, unless both id and domain are about as long as
    they may be (63 and more than 174)."""
    return f"{reserved}.{cluster}.{domain}"


def peer_lease_name(*, cluster: str) -> str:
    """Name of the Lease in `SYSTEM_NAMESPACE` whose renewTime is the last contact with `cluster`."""
    return f"peer-{cluster}"


def imported_record_name(*, cluster: str, namespace: str, service: str) -> str:
    """Name of the ImportedRecord for one exported Service of one peer; at most 191 characters."""
    return f"{cluster}.{namespace}.{service}"


def imported_shard_name(*, cluster: str, namespace: str, service: str, shard: str) -> str:
    """Name of the ImportedShard for one shard of a peer's Service; at most 202 characters."""
    return f"{cluster}.{namespace}.{service}.{shard}"

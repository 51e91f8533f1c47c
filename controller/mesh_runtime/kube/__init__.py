"""Talking to a Kubernetes API server: the only package that does.

Configuration and credentials come from the `kubernetes` library (kubeconfig, exec plug-ins, in-cluster
tokens), transport from aiohttp, and bodies are decoded by msgspec straight into the Structs of
`mesh_core.objects` (12 times faster than the library's models, docs/decisions/0002).
"""

from mesh_runtime.kube.address import connect_at, session
from mesh_runtime.kube.bounds import Bounds, TooMuch
from mesh_runtime.kube.channels import Inside, PodPort, PodRefused, Ran, pod_port, run_in_pod
from mesh_runtime.kube.client import KubeClient, ObjectPage
from mesh_runtime.kube.config import connect, context_names, current_context
from mesh_runtime.kube.discovery import AnyObject, ApiResource, api_resources, list_all, list_any
from mesh_runtime.kube.errors import ApiError, BadAnswer, KubeconfigError, NotLeading, NotTrusted, Unreachable
from mesh_runtime.kube.given import connect_to
from mesh_runtime.kube.informer import Index, Informer
from mesh_runtime.kube.leader import LeaderElection
from mesh_runtime.kube.logins import Login, kubeconfig_of, read_login
from mesh_runtime.kube.resources import (
    CLUSTER_PROPERTIES,
    CONFIG_MAPS,
    CRDS,
    CSRS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    EVENTS,
    IMPORTED_RECORDS,
    IMPORTED_SHARDS,
    LEASES,
    MESH_PEERS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICE_PROBES,
    SERVICES,
    TRUST_BUNDLES,
    Resource,
)

__all__ = [
    "CLUSTER_PROPERTIES",
    "CONFIG_MAPS",
    "CRDS",
    "CSRS",
    "DEPLOYMENTS",
    "ENDPOINT_SLICES",
    "EVENTS",
    "IMPORTED_RECORDS",
    "IMPORTED_SHARDS",
    "LEASES",
    "MESH_PEERS",
    "NAMESPACES",
    "NODES",
    "PODS",
    "SECRETS",
    "SERVICES",
    "SERVICE_EXPORTS",
    "SERVICE_IMPORTS",
    "SERVICE_PROBES",
    "TRUST_BUNDLES",
    "AnyObject",
    "ApiError",
    "ApiResource",
    "BadAnswer",
    "Bounds",
    "Index",
    "Informer",
    "Inside",
    "KubeClient",
    "KubeconfigError",
    "LeaderElection",
    "Login",
    "NotLeading",
    "NotTrusted",
    "ObjectPage",
    "PodPort",
    "PodRefused",
    "Ran",
    "Resource",
    "TooMuch",
    "Unreachable",
    "api_resources",
    "connect",
    "connect_at",
    "connect_to",
    "context_names",
    "current_context",
    "kubeconfig_of",
    "list_all",
    "list_any",
    "pod_port",
    "read_login",
    "run_in_pod",
    "session",
]

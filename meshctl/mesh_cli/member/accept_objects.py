"""What makes a cluster come in by an invitation, as objects: applied by `meshctl accept`, or by GitOps. Pure.

The token is the user's own one-time secret, and the only secret among them: every key is made in the cluster.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from mesh_cli.dns.corefile import stub
from mesh_cli.dns.set_ups import CONFIG_MAP, KEY, NAMESPACE
from mesh_cli.install.kustomize import Manifest
from mesh_cli.member.admission import property_bodies
from mesh_core.identity import ClusterId
from mesh_core.invitation_token import Token
from mesh_core.join_order import order_body
from mesh_core.names import CLUSTERSET_ZONE, DNS, SYSTEM_NAMESPACE, TRUST_BUNDLE
from mesh_core.objects import PeerGateway
from mesh_runtime.kube import CLUSTER_PROPERTIES, SECRETS, TRUST_BUNDLES, Resource

ADDRESS_WORD = "CLUSTER-IP"
"""Stands for an address that is only known when the Service is there."""

# A JSON object for the API server.
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Who wants to be whom; `text` is the token, `gateways` None says nothing of where it can be dialled."""

    token: Token
    text: str = field(repr=False)
    cluster: ClusterId
    network: str | None = None
    gateways: tuple[PeerGateway, ...] | None = None
    pod_ranges: tuple[str, ...] = ()

    @property
    def properties(self) -> tuple[Body, ...]:
        """The ClusterProperties."""
        return property_bodies(cluster=self.cluster, domain=self.token.domain, network=self.network)

    @property
    def bundle(self) -> Body:
        """The TrustBundle, which knows the root by its key only: all else comes through the inviter."""
        spec = {"domain": self.token.domain, "pool": self.token.pool, "pins": [self.token.root]}
        return {"metadata": {"name": TRUST_BUNDLE}, "spec": spec}

    @property
    def pin(self) -> Body:
        """The part of it that only says which root to know."""
        spec = {"domain": self.token.domain, "pins": [self.token.root]}
        return {"metadata": {"name": TRUST_BUNDLE}, "spec": spec}

    @property
    def order(self) -> Body:
        """The Secret with the token, by which the controller begins."""
        return order_body(self.text, gateways=self.gateways, pod_ranges=self.pod_ranges)


def as_yaml(manifests: Iterable[Manifest], acceptance: Acceptance) -> str:
    """All objects in the order in which they are to be applied, and at the end what cluster DNS needs."""
    kinds = [one for one in manifests if one["kind"] == "CustomResourceDefinition"]
    programs = [one for one in manifests if one["kind"] != "CustomResourceDefinition"]
    own = [_full(CLUSTER_PROPERTIES, body) for body in acceptance.properties]
    own += [_full(TRUST_BUNDLES, acceptance.bundle), _full(SECRETS, acceptance.order)]
    documents = [yaml.safe_dump(_plain(one), sort_keys=False) for one in (*kinds, *programs, *own)]
    return "---\n".join(documents) + dns_comment()


def dns_comment() -> str:
    """What cluster DNS has to be told, which no object of ours can say: a comment."""
    asked = f"kubectl -n {SYSTEM_NAMESPACE} get service {DNS} -o jsonpath={{.spec.clusterIP}}"
    lines = (
        f"Cluster DNS has to forward {CLUSTERSET_ZONE} to Service {SYSTEM_NAMESPACE}/{DNS}. With CoreDNS",
        f"this goes to the head of the {KEY} in ConfigMap {NAMESPACE}/{CONFIG_MAP}. {ADDRESS_WORD} is what",
        "this says once the Service is there:",
        f"  {asked}",
        "",
        *(f"  {line}" for line in stub(ADDRESS_WORD).splitlines()),
    )
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _full(resource: Resource[Any], body: Body) -> Body:  # Any: resources of several types
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body}


def _plain(value: Any) -> Any:  # Any: whatever JSON has
    """Without the types that YAML does not know."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, str) else value

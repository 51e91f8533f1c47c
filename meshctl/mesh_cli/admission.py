"""Whether a cluster may join under the id that was asked for, and what is then written about it. Pure.

1. A member keeps its id and its clusterset for as long as it is one (KEP-2149): joining again never
   changes either, it only repairs.
2. An id belongs to one cluster, known by the UID of its namespace kube-system.
"""

from collections.abc import Mapping
from typing import Any

from mesh_cli.member import Facts
from mesh_core.errors import UserError
from mesh_core.identity import ClusterId
from mesh_core.names import PROPERTY_CLUSTER_ID, PROPERTY_CLUSTERSET, TRUST_BUNDLE
from mesh_runtime.trust_dir import ClusterIdTaken, TrustDir

# A JSON object for the API server.
Body = Mapping[str, Any]


class JoinRefused(UserError):
    """The cluster is something else already."""


def check_newcomer(facts: Facts, *, cluster: ClusterId, trust: TrustDir) -> None:
    """Raises JoinRefused, or ClusterIdTaken, unless the cluster may be member `cluster` under `trust`."""
    holder = trust.members.get(cluster, facts.uid)
    if holder != facts.uid:
        raise ClusterIdTaken(cluster, holder=holder)
    if facts.cluster_id is not None and facts.cluster_id.spec.value != cluster:
        raise JoinRefused(
            f"context {facts.context} has the cluster id {facts.cluster_id.spec.value} already",
            next_step=f"use --cluster-id {facts.cluster_id.spec.value}: an id is kept for life",
        )
    if facts.clusterset is not None and facts.clusterset.spec.value != trust.domain:
        raise JoinRefused(
            f"context {facts.context} is a member of clusterset {facts.clusterset.spec.value} already",
            next_step=f"use the trust folder of {facts.clusterset.spec.value}",
        )
    if facts.bundle is not None:
        _check_bundle(facts, trust=trust)


def property_bodies(*, cluster: ClusterId, trust: TrustDir) -> tuple[Body, Body]:
    """The ClusterProperties that say which cluster this is, and of which clusterset."""
    return (
        {"metadata": {"name": PROPERTY_CLUSTER_ID}, "spec": {"value": cluster}},
        {"metadata": {"name": PROPERTY_CLUSTERSET}, "spec": {"value": trust.domain}},
    )


def bundle_body(trust: TrustDir) -> Body:
    """The first TrustBundle of a member."""
    spec = {"domain": trust.domain, "generation": 1, "roots": [trust.root_pem]}
    return {"metadata": {"name": TRUST_BUNDLE}, "spec": spec}


def _check_bundle(facts: Facts, *, trust: TrustDir) -> None:
    assert facts.bundle is not None
    spec = facts.bundle.spec
    if spec.domain != trust.domain or trust.root_pem.strip() not in {root.strip() for root in spec.roots}:
        raise JoinRefused(
            f"context {facts.context} trusts another root (of {spec.domain}) already",
            next_step="use the trust folder that it was joined with",
        )

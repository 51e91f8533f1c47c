"""Whether a cluster may join under the id that was asked for, and what is then written about it. Pure.

1. A member keeps its id and its clusterset for as long as it is one (KEP-2149): joining again never
   changes either, it only repairs.
2. An id belongs to one cluster, known by the UID of its namespace kube-system.
3. What a hub's agent has written of the clusterset (a ClusterSet's name) is no membership: it is taken over.
"""

from collections.abc import Mapping
from typing import Any

from mesh_cli.member.itself import Facts
from mesh_cli.session import FIELD_MANAGER
from mesh_core.errors import UserError
from mesh_core.identity import ClusterId, Domain
from mesh_core.names import LABEL_MANAGED_BY, PROPERTY_CLUSTER_ID, PROPERTY_CLUSTERSET, PROPERTY_NETWORK
from mesh_core.objects import ClusterProperty
from mesh_core.roster import entry_of
from mesh_core.trust_statement import held_by
from mesh_placement.names import AGENT_MANAGER
from mesh_runtime.trust_dir import ClusterIdTaken, PublicTrust
from mesh_runtime.trust_signing import keys_of

# A JSON object for the API server.
Body = Mapping[str, Any]


class JoinRefused(UserError):
    """The cluster is something else already."""


def check_newcomer(
    facts: Facts, *, cluster: ClusterId, trust: PublicTrust, beside_others: bool = False
) -> None:
    """Raises JoinRefused, or ClusterIdTaken, unless the cluster may be member `cluster` under `trust`.

    `beside_others` says that ServiceImports of somebody else are known and to be left alone.
    """
    holder = trust.members.get(cluster, facts.uid)
    if holder != facts.uid:
        raise ClusterIdTaken(cluster, holder=holder)
    entry = entry_of(trust.held.statement, cluster=cluster)
    if entry is not None and entry.uid and entry.uid != facts.uid:
        raise ClusterIdTaken(cluster, holder=entry.uid)
    check_standing(facts, cluster=cluster, domain=trust.domain, beside_others=beside_others)
    if facts.bundle is not None:
        _check_bundle(facts, trust=trust)


def check_standing(facts: Facts, *, cluster: ClusterId, domain: Domain, beside_others: bool) -> None:
    """Raises JoinRefused when the cluster is already another member, or one of another clusterset."""
    if facts.cluster_id is not None and facts.cluster_id.spec.value != cluster:
        raise JoinRefused(
            f"context {facts.context} has the cluster id {facts.cluster_id.spec.value} already",
            next_step=f"use --cluster-id {facts.cluster_id.spec.value}: an id is kept for life",
        )
    known = facts.clusterset
    if known is not None and not _is_of_agent(known) and known.spec.value != domain:
        raise JoinRefused(
            f"context {facts.context} is a member of clusterset {known.spec.value} already",
            next_step=f"use the trust folder of {known.spec.value}, or a token of it",
        )
    if facts.foreign and not beside_others:
        raise JoinRefused(
            f"context {facts.context} has ServiceImports that another implementation made: "
            f"{', '.join(facts.foreign)}",
            next_step="remove that implementation, or join with --beside-others: those are left alone, and "
            "exports of the same name are not imported here",
        )


def property_bodies(*, cluster: ClusterId, domain: Domain, network: str | None = None) -> tuple[Body, ...]:
    """The ClusterProperties that say which cluster this is, of which clusterset, and on which network.

    Without a `network` nothing is said of it.
    """
    properties = {PROPERTY_CLUSTER_ID: cluster, PROPERTY_CLUSTERSET: domain}
    if network is not None:
        properties[PROPERTY_NETWORK] = network
    # Said, because a hub's agent may have said that it is its own (law 3).
    labels = {PROPERTY_CLUSTERSET: {"labels": {LABEL_MANAGED_BY: FIELD_MANAGER}}}
    return tuple(
        {"metadata": {"name": name, **labels.get(name, {})}, "spec": {"value": text}}
        for name, text in properties.items()
    )


def _is_of_agent(known: ClusterProperty) -> bool:
    return known.metadata.labels.get(LABEL_MANAGED_BY) == AGENT_MANAGER


def _check_bundle(facts: Facts, *, trust: PublicTrust) -> None:
    """The cluster must believe a root of this folder: the present one, or one before or after it."""
    assert facts.bundle is not None
    statement = held_by(facts.bundle).statement
    roots = [one.certificate for one in statement.roots] if statement else facts.bundle.spec.roots
    own = statement.domain if statement else facts.bundle.spec.domain
    if own != trust.domain or not keys_of(roots).keys() & keys_of(trust.known_roots).keys():
        raise JoinRefused(
            f"context {facts.context} trusts another root (of {own}) already",
            next_step="use the trust folder that it was joined with",
        )

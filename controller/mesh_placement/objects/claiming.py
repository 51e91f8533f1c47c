"""Clusters that are ordered, placement.meshctl.dev/v1alpha1: what a set may order, and one order.

A claim is written by the hub, where a set allows it, or by a person; a provider answers it.
"""

from typing import Literal

from msgspec import Struct, field

from mesh_core.objects import Condition, KubernetesObject

ClaimPhase = Literal["Ordered", "Joining", "Ready", "Leaving", "Left", ""]
ProviderPhase = Literal["Raising", "Running", "Removing", "Failed", ""]


class ProvisionRule(Struct, frozen=True, rename="camel", kw_only=True):
    """What the hub may order for a set: `max_clusters` claims at a time, of whoever wrote them.

    `offers` is what one node of such a cluster has: what asks for more is not helped by it, and nothing is
    ordered. `match_properties` are what the cluster will be like. `after_seconds` is for how long something
    has found no place before a cluster is ordered, `drain_when_idle_seconds` for how long one stands idle
    before it is given back.
    """

    provider: str
    max_clusters: int = 1
    nodes: int = 1
    offers: dict[str, str] = field(default_factory=dict)
    match_properties: dict[str, str] = field(default_factory=dict)
    after_seconds: int = 60
    drain_when_idle_seconds: int = 900


class ProvisionStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`fruitless`: how many clusters in a row were given back without use; no order before `not_before`."""

    fruitless: int = 0
    not_before: str = ""


class ClusterSetStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """By the hub. Condition `HubOverloaded`: whether it keeps its pace (`decide.overload`)."""

    provision: ProvisionStatus = ProvisionStatus()
    conditions: tuple[Condition, ...] = ()


class Provisioned(Struct, frozen=True, rename="camel", kw_only=True):
    """Who brought a registration: the provider, and the claim that it answered ("" and "" for an import)."""

    provider: str
    claim: str = ""
    claim_uid: str = field(default="", name="claimUID")


class ClusterClaimSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """A cluster that is wanted. `need` is what one node must have free, `because` who asked for it.

    `drain_when_idle_seconds` None: it stays until somebody deletes the claim.
    """

    cluster_set: str
    provider: str
    nodes: int = 1
    need: dict[str, str] = field(default_factory=dict)
    match_properties: dict[str, str] = field(default_factory=dict)
    because: str = ""
    drain_when_idle_seconds: int | None = None


class ProviderReport(Struct, frozen=True, rename="camel", kw_only=True):
    """What the provider says; nobody else writes it. `uid` is that of kube-system of the cluster it made."""

    phase: ProviderPhase = ""
    message: str = ""
    nodes: int = 0
    uid: str = ""


class ClusterClaimStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`provider` is the provider's, all else the hub's. `registration` is the UID of the registration by
    which the cluster came: another one of that name is somebody else's. `used`: it had work once."""

    phase: ClaimPhase = ""
    registration: str = ""
    idle_since: str = ""
    used: bool = False
    conditions: tuple[Condition, ...] = ()
    provider: ProviderReport = ProviderReport()


class ClusterClaim(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """A cluster that is ordered; cluster-scoped, its name will be the cluster id."""

    spec: ClusterClaimSpec
    status: ClusterClaimStatus = ClusterClaimStatus()

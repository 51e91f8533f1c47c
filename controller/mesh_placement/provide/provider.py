"""What a provider of clusters can do; `tests/mesh_fakes/provider_contract.py` is what each of them keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mesh_core.errors import EnvironmentFault
from mesh_placement.decide.claim_life import former_uids
from mesh_placement.objects import ClusterClaim


class ProviderFault(EnvironmentFault):
    """A provider could not do what was asked; it is asked again, later and later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A cluster as a claim wants it. What a provider makes belongs to `uid`, the claim's, and of one that
    came back from a backup the first that it had: another claim of that name has nothing to do with it.
    Amounts are Kubernetes quantities as text."""

    cluster: str
    uid: str
    nodes: int = 1
    need: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A cluster that runs: a kubeconfig of its administrator that the hub can use, the UID of its namespace
    kube-system, how many nodes it has."""

    kubeconfig: str = field(repr=False)
    uid: str
    nodes: int


class Provider(Protocol):
    """Every call may be made again, whatever became of the last one, and then does what is left to do.
    Raises ProviderFault."""

    @property
    def name(self) -> str:
        """What claims call it."""

    async def status(self, wish: Wish) -> Standing | None:
        """The cluster that was made for the wish, None while none of it runs; changes nothing."""

    async def create(self, wish: Wish) -> None:
        """Make it, or repair it; when this returns it runs."""

    async def scale(self, wish: Wish) -> None:
        """Give it as many nodes as are wanted."""

    async def delete(self, wish: Wish) -> None:
        """Destroy what was made for the wish, and nothing else; when this returns, nothing of it is left."""


def wish_of(claim: ClusterClaim) -> Wish:
    """What the claim asks of its provider."""
    return Wish(
        cluster=claim.metadata.name,
        uid=(*former_uids(claim), claim.metadata.uid)[0],
        nodes=claim.spec.nodes,
        need=claim.spec.need,
        properties=claim.spec.match_properties,
    )

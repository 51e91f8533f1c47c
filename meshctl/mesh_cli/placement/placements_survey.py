"""Placements of a hub and their Reports, read."""

import asyncio
from dataclasses import dataclass

from mesh_cli.hub.objects import NoHub
from mesh_core.errors import UserError
from mesh_placement.objects import ClusterVerdict, Placement, PlacementReport
from mesh_placement.resources import PLACEMENT_REPORTS, PLACEMENTS
from mesh_runtime.kube import ApiError, KubeClient


class NoPlacement(UserError):
    """The hub has no such Placement."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"the hub has no Placement {where}", next_step="see which there are with meshctl placements"
        )


@dataclass(frozen=True, slots=True)
class Explained:
    """A Placement with all pages of its Report; `revision` 0 and `at` "" where there is none yet."""

    placement: Placement
    verdicts: tuple[ClusterVerdict, ...]
    revision: int = 0
    at: str = ""


async def read_placements(client: KubeClient, *, context: str, namespace: str) -> list[Placement]:
    """Those of `namespace`, "" for all, in the order of their names. Raises NoHub."""
    try:
        page = await client.list(PLACEMENTS, namespace=namespace)
    except ApiError as error:
        if error.is_not_found:
            raise NoHub(f"context {context}") from error
        raise
    return sorted(page.items, key=lambda one: one.key)


async def read_explained(client: KubeClient, *, namespace: str, name: str) -> Explained:
    """One Placement. Raises NoPlacement."""
    placement, page = await asyncio.gather(
        client.find(PLACEMENTS, name, namespace=namespace),
        client.list(PLACEMENT_REPORTS, namespace=namespace),
    )
    if placement is None:
        raise NoPlacement(f"{namespace}/{name}")
    return explained(placement, page.items)


def explained(placement: Placement, reports: list[PlacementReport]) -> Explained:
    """All pages together, by cluster."""
    pages = [one for one in reports if one.placement_ref.name == placement.metadata.name]
    verdicts = sorted((each for one in pages for each in one.clusters), key=lambda each: each.cluster)
    return Explained(
        placement,
        tuple(verdicts),
        max((one.revision for one in pages), default=0),
        max((one.at for one in pages), default=""),
    )

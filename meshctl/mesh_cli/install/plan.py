"""What `join` and `accept` install: the shape that was wished, or nothing where somebody else installs.

Helm and GitOps own what they have applied. Beside them a member is made with `--no-install`: what makes it
one is written, and none of the objects that they would put back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mesh_cli.install.kustomize import Manifest
from mesh_cli.install.manifests import apply_definitions, change_shape, lacking_definitions, manifests_for
from mesh_cli.install.rollout import PROGRAMS
from mesh_cli.install.shape import Shape, ShapeWish, check_room, shape_in
from mesh_core.errors import UserError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_runtime.kube import DEPLOYMENTS, KubeClient
from mesh_runtime.progress import Progress

_MOST_NAMED = 3


class NotInstalled(UserError):
    """Nothing is to be installed, and something is not there, or is of an older version."""

    def __init__(self, *, context: str, missing: Sequence[str]) -> None:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        super().__init__(
            f"context {context} lacks {', '.join(missing[:_MOST_NAMED])}{more}, or has an older version",
            next_step="install this version first (docs/helm.md, docs/gitops.md), or leave out --no-install",
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be applied, and the shapes before and after; nothing where `installs` is false."""

    context: str
    manifests: tuple[Manifest, ...]
    before: Shape
    after: Shape
    installs: bool = True

    async def install_kinds(self, client: KubeClient, *, progress: Progress) -> tuple[str, ...]:
        """The names of those that were installed; raises what apply_definitions raises."""
        if not self.installs:
            return ()
        with progress.step(f"{self.context}: install the kinds"):
            return tuple(await apply_definitions(client, self.manifests))

    async def install_programs(self, client: KubeClient) -> None:
        """All that is no kind."""
        if self.installs:
            await change_shape(client, self.manifests, before=self.before, after=self.after)


async def plan_for(client: KubeClient, wish: ShapeWish, *, image: str | None, context: str) -> Plan:
    """What the cluster is to get; raises TooFewNodes, NotInstalled."""
    shape = wish.of(existing := await shape_in(client))
    manifests = manifests_for(shape, image=image)
    if wish.installs:
        await check_room(client, shape, manifests, existing=existing, context=context)
    elif missing := await _missing(client, manifests):
        raise NotInstalled(context=context, missing=missing)
    return Plan(context, tuple(manifests), existing, shape, wish.installs)


async def _missing(client: KubeClient, manifests: Iterable[Manifest]) -> list[str]:
    there = {one.metadata.name for one in (await client.list(DEPLOYMENTS, namespace=SYSTEM_NAMESPACE)).items}
    programs = [f"Deployment {SYSTEM_NAMESPACE}/{name}" for name in PROGRAMS if name not in there]
    return programs + [f"CRD {name}" for name in await lacking_definitions(client, manifests)]

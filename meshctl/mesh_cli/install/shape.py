"""What an installation is like: how peers reach the gateway, and which components change it.

It is read from the cluster, so that joining again keeps what somebody chose, whoever applied it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import click

from mesh_cli.install.kustomize import Manifest
from mesh_cli.install.shipped import Component, Overlay
from mesh_core.errors import UserError
from mesh_core.names import GATEWAY, SYSTEM_NAMESPACE
from mesh_core.objects import Node
from mesh_runtime.kube import NAMESPACES, NODES, SERVICES, KubeClient

P = ParamSpec("P")
R = TypeVar("R")


LABEL_SERVICE_TYPE = "meshctl.dev/service-type"
"""Label of our namespace: the overlay, which no Service shows while ports of nodes are used."""


_GATEWAYS = 2  # without high-availability
_REPELLENT = frozenset({"NoSchedule", "NoExecute"})


class TooFewNodes(UserError):
    """Pods that each need the same port of a node are more than the nodes."""

    def __init__(self, *, context: str, nodes: int, gateways: int) -> None:
        super().__init__(
            f"context {context} has fewer nodes that take pods ({nodes}) than gateways ({gateways}), and "
            "host-port wants one for each",
            next_step="add nodes, or join without host-port"
            + (" or without high-availability" if nodes >= _GATEWAYS else ""),
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """The overlay, and the components in the order in which they are applied."""

    overlay: Overlay = Overlay.LOAD_BALANCER
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True)
class ShapeWish:
    """What somebody asked for; what he said nothing of stays as it is.

    `installs` is false where somebody else installs: then nothing was asked for.
    """

    overlay: Overlay | None = None
    adds: frozenset[Component] = frozenset()
    drops: frozenset[Component] = frozenset()
    installs: bool = True

    def of(self, existing: Shape) -> Shape:
        """The shape to install where `existing` is."""
        kept = (self.adds | frozenset(existing.components)) - self.drops
        return Shape(self.overlay or existing.overlay, tuple(one for one in Component if one in kept))


def shape_wish(
    service_type: str | None,
    adds: Iterable[str],
    drops: Iterable[str],
    *,
    no_install: bool,
    image: str | None,
) -> ShapeWish:
    """What was typed; raises click.UsageError where it contradicts itself."""
    given = {"--image": image, "--service-type": service_type, "--with": adds, "--without": drops}
    if no_install and (useless := [name for name, value in given.items() if value]):
        raise click.UsageError(
            f"--no-install changes no program: give {useless[0]} to what installs them, or leave one out"
        )
    wish = ShapeWish(
        Overlay(service_type) if service_type else None,
        frozenset(map(Component, adds)),
        frozenset(map(Component, drops)),
        installs=not no_install,
    )
    if both := wish.adds & wish.drops:
        raise click.UsageError(f"--with and --without both name {min(one.value for one in both)}")
    return wish


async def shape_in(client: KubeClient) -> Shape:
    """What is installed now; the default where nothing is."""
    service = await client.find(SERVICES, GATEWAY, namespace=SYSTEM_NAMESPACE)
    namespace = await client.find(NAMESPACES, SYSTEM_NAMESPACE)
    labels = namespace.metadata.labels if namespace is not None else {}
    seen = service.spec.type if service is not None else ""
    # Behind ports of nodes the Service has no type of its own; the label tells which it had.
    kept = labels.get(LABEL_SERVICE_TYPE) == Overlay.NODE_PORT.value and seen != "LoadBalancer"
    node_port = seen == "NodePort" or kept
    return Shape(
        Overlay.NODE_PORT if node_port else Overlay.LOAD_BALANCER,
        tuple(one for one in Component if one.label in labels),
    )


async def check_room(
    client: KubeClient, shape: Shape, manifests: Iterable[Manifest], *, existing: Shape, context: str
) -> None:
    """Raises TooFewNodes, in place of a wait in vain for a gateway that no node takes; ApiError, Unreachable.

    Only what is new is looked at: a member that has lost a node can be mended. No node at all tells nothing:
    some clusters have their first one when a pod wants it.
    """
    if Component.HOST_PORT not in shape.components or shape.components == existing.components:
        return
    seen = (await client.list(NODES)).items
    nodes = sum(map(_takes_pods, seen))
    (gateways,) = (
        one["spec"]["replicas"]
        for one in manifests
        if (one["kind"], one["metadata"]["name"]) == ("Deployment", GATEWAY)
    )
    if seen and nodes < gateways:
        raise TooFewNodes(context=context, nodes=nodes, gateways=gateways)


def _takes_pods(node: Node) -> bool:
    return not node.spec.unschedulable and not any(one.effect in _REPELLENT for one in node.spec.taints)


def shape_options(function: Callable[P, R]) -> Callable[P, R]:
    """--service-type, --with, --without and --no-install as `service_type`, `adds`, `drops`, `no_install`."""
    names = click.Choice([one.value for one in Component])
    for option in (
        click.option(
            "--without", "drops", type=names, multiple=True, help="Take back what --with NAME changed."
        ),
        click.option(
            "--with",
            "adds",
            type=names,
            multiple=True,
            help="Change the installation (manifests/components); kept until --without.",
        ),
        click.option(
            "--service-type",
            type=click.Choice([overlay.value for overlay in Overlay]),
            help="How peers reach the gateway; by default as it is, at first a load balancer.",
        ),
        click.option(
            "--no-install",
            is_flag=True,
            help="Install and change no kinds or programs: Helm or GitOps has done so.",
        ),
    ):
        function = option(function)
    return function

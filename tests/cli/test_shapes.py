"""What `join --with` and `--without` change of an installation, and what stays of it when joining again."""

from typing import Any, cast

import click
import pytest

from mesh_cli.install.manifests import change_shape, manifests_for
from mesh_cli.install.shape import Shape, ShapeWish
from mesh_cli.install.shipped import Component, Overlay
from mesh_fakes.commands import Meshctl, complaint, done, join
from mesh_fakes.object_server import ObjectServer
from mesh_runtime.kube import KubeClient

AVAILABLE, PORT, POLICY = Component.HIGH_AVAILABILITY, Component.HOST_PORT, Component.NETWORK_POLICY
NODE_PORT = Overlay.NODE_PORT


@pytest.mark.parametrize(
    ("wish", "existing", "expected"),
    [
        (ShapeWish(), Shape(), Shape()),
        (ShapeWish(), Shape(NODE_PORT, (POLICY,)), Shape(NODE_PORT, (POLICY,))),
        (ShapeWish(NODE_PORT), Shape(components=(POLICY,)), Shape(NODE_PORT, (POLICY,))),
        (
            ShapeWish(adds=frozenset({AVAILABLE})),
            Shape(components=(POLICY,)),
            Shape(components=(AVAILABLE, POLICY)),
        ),
        (ShapeWish(drops=frozenset({POLICY})), Shape(components=(PORT, POLICY)), Shape(components=(PORT,))),
        (ShapeWish(drops=frozenset({POLICY})), Shape(), Shape()),
    ],
)
def test_what_nobody_speaks_of_stays(wish: ShapeWish, existing: Shape, expected: Shape) -> None:
    assert wish.of(existing) == expected


def gateway(server: ObjectServer) -> Any:  # JSON of a Deployment
    return server.get("deployments", "meshctl-gateway")["spec"]


def test_a_component_comes_stays_when_joining_again_and_goes(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    done(join(meshctl, trust, "--with", "high-availability", "--with", "network-policy"))
    assert gateway(east)["replicas"] == 3
    assert east.get("networkpolicies", "meshctl-dns")["spec"]["policyTypes"] == ["Ingress"]
    before = east.versions()
    done(join(meshctl, trust))
    assert east.versions() == before
    done(join(meshctl, trust, "--without", "network-policy"))
    assert east.find("networkpolicies", "meshctl-dns") is None
    assert gateway(east)["replicas"] == 3
    done(join(meshctl, trust, "--without", "high-availability"))
    assert gateway(east)["replicas"] == 2


def with_nodes(server: ObjectServer, count: int) -> None:
    for number in range(count):
        server.put("v1", "nodes", {"metadata": {"name": f"more-{number}"}})


def service_type(server: ObjectServer) -> str:
    found: str = server.get("services", "meshctl-gateway")["spec"]["type"]
    return found


def test_node_ports_come_back_when_ports_of_nodes_are_given_up(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    with_nodes(east, 1)
    done(join(meshctl, trust))
    assert service_type(east) == "NodePort"
    again = "join", "--context", "e", "--cluster-id", "east", "--trust", trust
    done(meshctl(*again, "--with", "host-port"))
    assert service_type(east) == "ClusterIP"
    done(meshctl(*again, "--without", "host-port"))
    assert service_type(east) == "NodePort"
    done(meshctl(*again, "--service-type", "loadbalancer"))
    done(meshctl(*again))
    assert service_type(east) == "LoadBalancer"


@pytest.mark.parametrize(
    ("more", "words", "says"),
    [
        (
            0,
            (),
            "fewer nodes that take pods (1) than gateways (2), and host-port wants one for each; add nodes",
        ),
        (
            1,
            ("--with", "high-availability"),
            "fewer nodes that take pods (2) than gateways (3), and host-port wants one for each",
        ),
    ],
)
def test_ports_of_fewer_nodes_than_gateways_are_refused_before_anything_is_written(
    meshctl: Meshctl, east: ObjectServer, trust: str, more: int, words: tuple[str, ...], says: str
) -> None:
    with_nodes(east, more)
    before = east.versions()
    assert says in complaint(join(meshctl, trust, "--with", "host-port", *words))
    assert east.versions() == before


@pytest.mark.parametrize(
    "spec", [{"unschedulable": True}, {"taints": [{"key": "k", "effect": "NoSchedule"}]}]
)
def test_a_node_that_takes_no_pod_is_no_room(
    meshctl: Meshctl, east: ObjectServer, trust: str, spec: dict[str, object]
) -> None:
    with_nodes(east, 1)
    east.put("v1", "nodes", {"metadata": {"name": "more-0"}, "spec": spec})
    assert "fewer nodes that take pods (1)" in complaint(join(meshctl, trust, "--with", "host-port"))


def test_a_member_with_ports_of_nodes_that_has_lost_a_node_can_be_mended(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    with_nodes(east, 1)
    done(join(meshctl, trust, "--with", "host-port"))
    east.remove("nodes", "more-0")
    done(join(meshctl, trust))


def test_a_component_cannot_come_and_go(meshctl: Meshctl, east: ObjectServer, trust: str) -> None:
    result = join(meshctl, trust, "--with", "host-port", "--without", "host-port")
    assert isinstance(result.exception, click.UsageError)
    assert "--with and --without both name host-port" in str(result.exception)
    assert east.find("deployments", "meshctl-gateway") is None


class Interrupted(Exception):
    """Somebody pressed a key."""


class Cut:
    """An API server that is lost with the first object that is applied; what was deleted until then."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def delete_manifest(self, manifest: dict[str, Any]) -> None:  # Any: whatever a manifest holds
        self.deleted.append(f"{manifest['kind']} {manifest['metadata']['name']}")

    async def merge_patch(self, *_args: object, **_more: object) -> None:
        """The labels."""

    async def apply_manifest(self, *_args: object, **_more: object) -> None:
        raise Interrupted


@pytest.mark.asyncio
async def test_who_is_interrupted_while_taking_a_component_back_leaves_nothing_that_nobody_knows_of() -> None:
    """To apply the namespace takes the label away by which the next run would know of the policies."""
    cut, after = Cut(), Shape()
    with pytest.raises(Interrupted):
        await change_shape(
            cast(KubeClient, cut),
            manifests_for(after, image=None),
            before=Shape(components=(POLICY,)),
            after=after,
        )
    assert cut.deleted == [f"NetworkPolicy meshctl-{name}" for name in ("gateway", "controller", "dns")]

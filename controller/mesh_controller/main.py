"""`python -m mesh_controller`: the controller in its pod. Everything it needs is in objects of the cluster.

Stop is not remove: SIGTERM ends the process, gives up the Lease so that a sibling leads at once, and
leaves every object as it is.
"""

import asyncio
import socket
from typing import Never

from mesh_controller.controller import Controller, Trust
from mesh_controller.intermediate_source import IntermediateSource
from mesh_controller.issuer_source import IssuerSource
from mesh_controller.join_door import JoinDoor
from mesh_controller.joiner import Joiner
from mesh_controller.metrics_page import Readings, metrics_page
from mesh_controller.reception import Reception
from mesh_core.names import HEALTH_PORT, JOIN_PORT, PEER_STREAM_PORT
from mesh_runtime.binding import binding
from mesh_runtime.health import health_server
from mesh_runtime.kube import KubeClient, connect
from mesh_runtime.membership import MembershipSource
from mesh_runtime.program import Until, replica_name, run_program


def main() -> Never:
    """Runs until SIGTERM."""
    run_program("the controller", serve)


async def serve(until_stopped: Until) -> None:
    """The controller."""
    with bound_socket(PEER_STREAM_PORT) as listener:
        async with connect() as kube:
            await until_stopped(run(kube, listener=listener, name=replica_name()))


async def run(kube: KubeClient, *, listener: socket.socket, name: str) -> None:
    """Wait until this cluster is a member, then be its controller until cancelled.

    If it has an invitation it becomes one by that; as a member it lets in who has one of its own.
    """
    membership = MembershipSource(kube)
    source = IntermediateSource(kube, membership=membership)
    issuer = IssuerSource(kube, membership=membership)
    reception = Reception(kube, membership=membership, issuer=issuer)
    door = JoinDoor(kube, reception=reception, standing=source, bound=lambda: bound_socket(JOIN_PORT))
    controller: Controller | None = None

    async def metrics() -> bytes:
        return metrics_page(controller.readings() if controller is not None else Readings())

    def is_ready() -> bool:
        return controller is not None and controller.is_ready

    async with (
        health_server(HEALTH_PORT, ready=is_ready, metrics=metrics),
        asyncio.TaskGroup() as group,
    ):
        group.create_task(membership.run())
        group.create_task(source.run())
        group.create_task(Joiner(kube).run())
        group.create_task(issuer.run())
        group.create_task(door.run())
        member = await membership.after(None)
        assert member is not None, "`after` gives something else than what was seen"
        controller = Controller(
            kube,
            membership=member,
            trust=Trust(membership, source),
            listener=listener,
            name=name,
        )
        await controller.run()


def bound_socket(port: int) -> socket.socket:
    """A socket on `port` of all addresses that does not listen yet: without a certificate nobody answers."""
    dual = socket.has_dualstack_ipv6()
    bound = socket.socket(socket.AF_INET6 if dual else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if dual:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    with binding(port):
        bound.bind(("::" if dual else "0.0.0.0", port))
    return bound

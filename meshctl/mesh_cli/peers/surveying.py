"""Asks members for their peers. Reads only; who does not answer hides no other."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from mesh_cli.member.itself import read_facts
from mesh_cli.peers.survey import PeerLine, Peers, line_of
from mesh_cli.status.survey import NotSeen
from mesh_core.conditions import rfc3339
from mesh_core.errors import MeshError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_runtime.clock import Clock
from mesh_runtime.kube import LEASES, MESH_PEERS, connect


async def survey_peers(contexts: Sequence[str], *, kubeconfig: Path | None, clock: Clock) -> Peers:
    """Ask all `contexts` side by side."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask(one, kubeconfig=kubeconfig)) for one in contexts]
    found = [task.result() for task in tasks]
    return Peers(
        rfc3339(clock()),
        tuple(line for one in found if not isinstance(one, NotSeen) for line in one),
        tuple(one for one in found if isinstance(one, NotSeen)),
    )


async def _ask(context: str, *, kubeconfig: Path | None) -> tuple[PeerLine, ...] | NotSeen:
    try:
        async with connect(kubeconfig=kubeconfig, context=context) as client:
            member = (await read_facts(client, context=context)).member().cluster
            held = (await client.list(LEASES, namespace=SYSTEM_NAMESPACE)).items
            leases = {one.metadata.name: one for one in held}
            peers = (await client.list(MESH_PEERS)).items
            now = await client.time()
            return tuple(
                line_of(peer, member=member, leases=leases, now=now)
                for peer in sorted(peers, key=lambda one: one.metadata.name)
            )
    except MeshError as error:
        return NotSeen(context, str(error))

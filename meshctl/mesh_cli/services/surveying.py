"""Asks clusters what they export and import. Reads only; who does not answer hides no other."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from mesh_cli.member.itself import read_facts
from mesh_cli.services.survey import Held, Shared, shared
from mesh_cli.status.survey import NotSeen
from mesh_core.conditions import rfc3339
from mesh_core.errors import MeshError
from mesh_core.membership import Membership
from mesh_runtime.clock import Clock
from mesh_runtime.kube import SERVICE_EXPORTS, SERVICE_IMPORTS, connect


async def survey_services(
    contexts: Sequence[str], *, kubeconfig: Path | None, namespace: str, clock: Clock
) -> Shared:
    """Ask all `contexts` side by side."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask(one, kubeconfig=kubeconfig, namespace=namespace)) for one in contexts]
    found = [task.result() for task in tasks]
    return shared(
        [one for one in found if isinstance(one, Held)],
        unseen=[one for one in found if isinstance(one, NotSeen)],
        at=rfc3339(clock()),
        namespace=namespace,
    )


async def _ask(context: str, *, kubeconfig: Path | None, namespace: str) -> Held | NotSeen:
    try:
        async with connect(kubeconfig=kubeconfig, context=context) as client:
            membership = (await read_facts(client, context=context)).membership
            return Held(
                context,
                membership.cluster if isinstance(membership, Membership) else "",
                tuple((await client.list(SERVICE_EXPORTS, namespace=namespace)).items),
                tuple((await client.list(SERVICE_IMPORTS, namespace=namespace)).items),
            )
    except MeshError as error:
        return NotSeen(context, str(error))

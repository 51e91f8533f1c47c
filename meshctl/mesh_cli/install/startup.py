"""From installed to running: signs the controller's intermediate while the programs start.

The controller asks for its intermediate once it runs, and gets ready only when it has it; the gateways
get ready when they have leaves under it. So both are waited for side by side. A controller that has its
intermediate asks for nothing: then nothing is signed, and running is all that counts.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from mesh_cli.install.rollout import wait_until_running
from mesh_cli.trust.enrolment import Enrolment
from mesh_core.errors import MeshError
from mesh_runtime.approval import NoRequest, asked_intermediate
from mesh_runtime.progress import Progress

# Seconds for a request for renewal to be seen and signed where everything runs already.
_GRACE = 1.0


async def start_programs(enrolment: Enrolment, *, limit: float, progress: Progress) -> bool:
    """Wait until all programs run, at most `limit` seconds; whether an intermediate was signed.

    Raises rollout.NotRunning, and what `asked_intermediate` and `Enrolment.certify` raise but for NoRequest.
    """
    begun = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        signing = group.create_task(_outcome(_sign(enrolment, begun=begun, limit=limit, progress=progress)))
        running = group.create_task(_outcome(_run(enrolment, limit=limit, progress=progress)))
        await asyncio.wait({signing, running}, return_when=asyncio.FIRST_COMPLETED)
        if signing.done() and _is_final(signing.result()):
            running.cancel()
        else:
            await asyncio.wait({running})
            await asyncio.wait({signing}, timeout=_GRACE)
            if begun.is_set():
                # The controller may run by what the bundle says before its request is answered.
                await asyncio.wait({signing})
            signing.cancel()
    if not signing.cancelled() and (refused := signing.result()) is not None and _is_final(refused):
        raise refused
    if (stuck := running.result()) is not None:
        raise stuck
    return not signing.cancelled() and signing.result() is None


async def _sign(enrolment: Enrolment, *, begun: asyncio.Event, limit: float, progress: Progress) -> None:
    asked = await asked_intermediate(
        enrolment.client, cluster=enrolment.cluster, domain=enrolment.trust.domain, limit=limit
    )
    begun.set()
    with progress.step(f"{enrolment.cluster}: sign its intermediate certificate"):
        await enrolment.certify(asked)


async def _run(enrolment: Enrolment, *, limit: float, progress: Progress) -> None:
    with progress.step(f"{enrolment.context}: wait for the programs") as step:
        await wait_until_running(enrolment.client, context=enrolment.context, limit=limit, step=step)


async def _outcome(work: Coroutine[Any, Any, None]) -> MeshError | None:  # Any: asyncio's own types
    """The error as a value, so that one task's trouble does not hide the other's behind a group."""
    try:
        await work
    except MeshError as error:
        return error
    return None


def _is_final(error: MeshError | None) -> bool:
    """Whether waiting on is in vain; no request is none, it may have been answered by an earlier join."""
    return error is not None and not isinstance(error, NoRequest)

"""A deed that is not left half done, whoever tells its task to stop meanwhile, and however often."""

import asyncio
from collections.abc import Coroutine


async def to_its_end(deed: Coroutine[None, None, None]) -> None:
    """Run `deed` to its end; whoever was told to stop meanwhile stops then. Raises what the deed raises.

    Once is not enough: an agent that takes itself away is told by the end of its settings, and then by the
    SIGTERM that follows the end of its Deployment. A task that is awaited is cancelled with who awaits it.
    """
    task = asyncio.ensure_future(deed)
    stopped: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            stopped = error
    task.result()
    if stopped is not None:
        raise stopped

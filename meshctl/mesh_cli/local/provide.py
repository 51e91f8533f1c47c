"""`meshctl local provide`: answers a hub's ClusterClaims with clusters on this machine, until told to end.

Stop is not destroy: clusters stay when it ends, and are found again when it begins.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from mesh_cli.local.provider import Settings, local_provider
from mesh_placement.objects import Driver
from mesh_placement.provide.answer_loop import AnswerLoop
from mesh_placement.resources import CLUSTER_CLAIMS
from mesh_runtime.kube import connect
from mesh_runtime.log import configure
from mesh_runtime.signals import stop_at_signal


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; `context` None is the current one."""

    kubeconfig: Path | None
    context: str | None
    driver: Driver
    settings: Settings


async def provide(wish: Wish) -> None:
    """Answer until SIGTERM or SIGINT; raises what the hub's API server refuses with at the start."""
    configure()
    stop = stop_at_signal(second_ends=True)
    async with connect(kubeconfig=wish.kubeconfig, context=wish.context) as hub:
        await hub.list(CLUSTER_CLAIMS)  # whether it is a hub, and we may, is said at once
        async with local_provider(wish.settings) as provider:
            loop = AnswerLoop(hub, provider=provider, driver=wish.driver)
            async with asyncio.TaskGroup() as group:
                runs = (loop.watch_claims(), loop.watch_registrations(), loop.run())
                tasks = [group.create_task(run) for run in runs]
                await stop.wait()
                for task in tasks:
                    task.cancel()

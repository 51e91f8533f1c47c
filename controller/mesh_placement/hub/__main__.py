"""`python -m mesh_placement.hub`: the hub in its pod. Everything it needs is in objects of the cluster."""

import asyncio

from mesh_core.errors import EnvironmentFault
from mesh_core.names import HEALTH_PORT, SYSTEM_NAMESPACE
from mesh_placement.decide.floating_settings import FloatingSettings, read_floating
from mesh_placement.hub.floating.hub import floating_hub
from mesh_placement.hub.hub import run_hub
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import FLOATING
from mesh_runtime.health import health_server
from mesh_runtime.kube import SECRETS, ApiError, KubeClient, Unreachable, connect
from mesh_runtime.log import logger
from mesh_runtime.program import Until, replica_name, run_program

_log = logger(__name__)
_AGAIN = 2.0  # seconds


async def serve(until_stopped: Until) -> None:
    """The hub, or a candidate where there is a Secret that says so."""
    async with connect() as kube:
        await until_stopped(_run(kube))


async def _run(kube: KubeClient) -> None:
    # First: a plug-in that cannot be used needs no API server to be named.
    scheduling = installed_scheduling()
    settings = await _floating(kube)
    if settings is None:
        await run_hub(kube, name=replica_name(), scheduling=scheduling)
        return
    async with (
        floating_hub(kube, settings, name=replica_name(), scheduling=scheduling) as hub,
        # Of a candidate's readiness nothing hangs: it stands as soon as it runs.
        health_server(HEALTH_PORT, ready=lambda: True, metrics=hub.metrics),
    ):
        await hub.run()


async def _floating(kube: KubeClient) -> FloatingSettings | None:
    """Raises BadFloating: who cannot stand must not lead by itself either."""
    while True:
        try:
            secret = await kube.find(SECRETS, FLOATING, namespace=SYSTEM_NAMESPACE)
        except (ApiError, Unreachable) as error:
            fault: EnvironmentFault = error
            _log.warning("it is not known yet whether this hub floats", why=fault.what)
            await asyncio.sleep(_AGAIN)
        else:
            return None if secret is None else read_floating(secret)


if __name__ == "__main__":
    run_program("the hub", serve)

"""`python -m mesh_gateway`: the gateway in its pod, as one process or as several workers with a parent.

`POD_IP` (downward API, status.podIP) is the one address that is listened on. What else it is told is in
`settings`, and everything that is routed is read from objects of this cluster.
"""

import asyncio
import os
import resource
import sys

from mesh_core.errors import MeshError, UserError, causes
from mesh_core.names import GATEWAY_PORT
from mesh_gateway.heap import keep_buffers
from mesh_gateway.limits import Limits
from mesh_gateway.route import Address
from mesh_gateway.settings import Settings, settings_of
from mesh_runtime.lifeline import Place, place_of
from mesh_runtime.log import configure, logger
from mesh_runtime.workers import look_after

_log = logger(__name__)

_OPEN_FILES = 40_000
_NOT_CONNECTIONS = 22_000
"""Files that are open beside two for each of `Limits.connections`: the egress ports, and a reserve."""
_PATIENCE = 5.0
"""Seconds that a worker gets beyond what its own limits give it."""


def start() -> None:
    """Runs until SIGTERM; the exit code is 0 then, 2 for settings that do not read, and 1 after an error
    that was logged."""
    configure()
    try:
        settings = settings_of(sys.argv[1:])
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    failed = False
    try:
        door, place = Address(_own_address(), GATEWAY_PORT), place_of()
        if settings.workers > 1 and place is None:
            asyncio.run(look_after_workers(settings))
        else:
            _serve(door, settings=settings, place=place)
    except* MeshError as group:
        failed = True
        for cause in causes(group):
            _log.error("the gateway cannot run", why=str(cause))
    sys.exit(1 if failed else 0)


async def look_after_workers(settings: Settings) -> None:
    """The parent of `settings.workers` workers, until SIGTERM or SIGINT."""
    limits = settings.limits
    leave = max(limits.farewell, limits.unlisting + limits.settle)
    await look_after(
        settings.workers,
        package="mesh_gateway",
        patience=leave + limits.drain + _PATIENCE,
        health_port=settings.health_port,
    )


def _serve(door: Address, *, settings: Settings, place: Place | None) -> None:
    # Not at the head of the file: the parent of workers needs none of it, half of its memory.
    import uvloop

    from mesh_gateway import session
    from mesh_gateway.main import run

    # Tables are computed in a thread; the loop must get its turn back within a millisecond.
    sys.setswitchinterval(0.001)
    keep_buffers()
    _allow_many_files(settings.limits)
    _log.info("starting", compiled=not session.__file__.endswith(".py"))
    uvloop.run(run(door, settings=settings, place=place))


def _own_address() -> str:
    host = os.environ.get("POD_IP", "")
    if not host:
        raise UserError(
            "POD_IP is not set", next_step="give the pod's address by the downward API (status.podIP)"
        )
    return host


def _allow_many_files(limits: Limits) -> None:
    """Raises the soft limit of open files as far as is useful and allowed: each stream needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(_OPEN_FILES, 2 * limits.connections + _NOT_CONNECTIONS)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

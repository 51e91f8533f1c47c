"""`python -m mesh_dns`: the DNS server in its pod, as one process or as several workers with a parent.

What it is told is in `settings`, and everything that it answers is read from objects of this cluster.
"""

import asyncio
import os
import sys

from mesh_core.errors import MeshError, UserError, causes
from mesh_dns.settings import Settings, settings_of
from mesh_runtime.lifeline import Place, place_of
from mesh_runtime.log import configure, logger
from mesh_runtime.workers import look_after

_log = logger(__name__)

_PATIENCE = 3.0
"""Seconds that workers have to end beyond `Settings.linger`; both are less than the pod has (25)."""

_SILENT = 3.0
"""Seconds without a sign of life after which a worker is killed, and started again: clients ask twice or
three times, 2 to 5 seconds apart."""


def start() -> None:
    """Runs until SIGTERM or SIGINT; the exit code is 0 then, 2 for settings that do not read, and 1 after an
    error that was logged."""
    configure()
    try:
        settings = settings_of(os.environ, arguments=sys.argv[1:])
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    failed = False
    try:
        place = place_of()
        if settings.workers > 1 and place is None:
            asyncio.run(
                look_after(
                    settings.workers,
                    package="mesh_dns",
                    patience=settings.linger + _PATIENCE,
                    silent=_SILENT,
                    health_port=settings.health_port,
                )
            )
        else:
            _serve(settings, place=place)
    except* MeshError as group:
        failed = True
        for cause in causes(group):
            _log.error("cannot serve", why=str(cause))
    sys.exit(1 if failed else 0)


def _serve(settings: Settings, *, place: Place | None) -> None:
    # Not at the head of the file: the parent of workers needs none of it.
    import uvloop

    from mesh_dns.main import serve

    uvloop.run(serve(settings, place=place))

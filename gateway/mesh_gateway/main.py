"""`python -m mesh_gateway`: the gateway in its pod.

`POD_IP` (downward API, status.podIP) is the one address that is listened on. Everything else is read
from objects of this cluster.
"""

import asyncio
import os
import resource
import signal
import sys

import uvloop

from mesh_core.errors import MeshError, UserError, causes
from mesh_core.identity import Component
from mesh_core.names import GATEWAY_PORT, HEALTH_PORT
from mesh_gateway.gateway import Gateway
from mesh_gateway.limits import Limits
from mesh_gateway.probe_knock import knock
from mesh_gateway.probe_report import Reporter
from mesh_gateway.prober import Prober
from mesh_gateway.probing import probe
from mesh_gateway.route import Address
from mesh_gateway.watch import Watches
from mesh_runtime.clock import utc_now
from mesh_runtime.health import health_server
from mesh_runtime.kube import connect
from mesh_runtime.leaf import LeafSource
from mesh_runtime.leaf_request import RequestedLeaf
from mesh_runtime.log import configure, logger
from mesh_runtime.membership import MembershipSource

_log = logger(__name__)

# Two for each of `Limits.connections`, one for each egress port, and a reserve.
_OPEN_FILES = 40_000


def main() -> None:
    """Runs until SIGTERM; the exit code is 0 then, and 1 after an error that was logged."""
    configure()
    # Tables are computed in a thread; the loop must get its turn back within a millisecond.
    sys.setswitchinterval(0.001)
    _allow_many_files()
    failed = False
    try:
        uvloop.run(run(Address(_own_address(), GATEWAY_PORT), health_port=HEALTH_PORT, limits=Limits()))
    except* MeshError as group:
        failed = True
        for error in causes(group):
            _log.error("the gateway cannot run", why=str(error))
    sys.exit(1 if failed else 0)


async def run(door: Address, *, health_port: int, limits: Limits) -> None:
    """The gateway at `door`, until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with connect() as kube, asyncio.TaskGroup() as group:
        membership = MembershipSource(kube)
        leaf = LeafSource(RequestedLeaf(kube), component=Component.GATEWAY, membership=membership)
        watches = Watches(kube, membership=membership)
        reporter = Reporter(kube, address=door.host, peers=watches.peers, clock=utc_now)
        prober = Prober(door.host, surroundings=watches, knock=knock, found=reporter.found)
        gateway = Gateway(door, leaf=leaf, look=watches.objects, limits=limits, prober=prober)

        def changed() -> None:
            gateway.changed()
            prober.changed()

        background = [
            group.create_task(membership.run()),
            group.create_task(leaf.run()),
            group.create_task(watches.run(changed=changed)),
            group.create_task(probe(prober, reporter=reporter, stop=stop)),
        ]
        async with health_server(health_port, ready=lambda: gateway.is_ready):
            await gateway.run(stop=stop)
        for task in background:
            task.cancel()


def _own_address() -> str:
    host = os.environ.get("POD_IP", "")
    if not host:
        raise UserError(
            "POD_IP is not set", next_step="give the pod's address by the downward API (status.podIP)"
        )
    return host


def _allow_many_files() -> None:
    """Raises the soft limit of open files as far as is useful and allowed: each stream needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

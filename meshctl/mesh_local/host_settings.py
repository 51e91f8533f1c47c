"""Settings of the whole machine that clusters need. They are raised, never lowered, and stay raised."""

from pathlib import Path

from mesh_local.commands import run
from mesh_local.errors import CommandFault, MachineFault

_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
# Debian's 128 is used up by five full clusters.
_INSTANCES = 2048

_BRIDGE_FILTER = Path("/proc/sys/net/bridge")


async def prepare_host(*, light: bool, environment: dict[str, str]) -> None:
    """Raises MachineFault when the kernel cannot filter what crosses a bridge."""
    if int(_INOTIFY.read_text()) < _INSTANCES:
        _INOTIFY.write_text(str(_INSTANCES))
    if light or _BRIDGE_FILTER.exists():
        return
    try:
        await run(["modprobe", "--all", "br_netfilter", "overlay"], environment=environment)
    except CommandFault as error:
        raise MachineFault(
            f"the kernel has no br_netfilter, without which Services fail: {error.what}",
            next_step="load the module br_netfilter",
        ) from error

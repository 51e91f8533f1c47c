"""Short commands of other programs, each with a limit; and the environment in which a set's programs run."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from mesh_local.errors import CommandFault
from mesh_local.names import COMPONENT_MARK, SET_MARK, SetNames

COMMAND_LIMIT = 60.0  # seconds

# nft, conntrack and iptables are here, which the PATH of a person may leave out.
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")


def environment(names: SetNames, *, component: str = "") -> dict[str, str]:
    """What a program of the set gets: our own environment, the system's programs, the set's mark."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *_SYSTEM_FOLDERS])
    marks = {SET_MARK: names.id, **({COMPONENT_MARK: component} if component else {})}
    return {**os.environ, "PATH": path, **marks}


async def run(argv: Sequence[str], *, environment: Mapping[str, str], limit: float = COMMAND_LIMIT) -> str:
    """Runs a command to its end and returns what it wrote to stdout.

    Raises CommandFault when it fails, is not there, or takes more than `limit` seconds.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd="/",
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise CommandFault(f"{argv[0]} cannot be started: {error}", next_step="install it") from error
    try:
        async with asyncio.timeout(limit):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise CommandFault(
            f"`{' '.join(argv)}` took more than {limit:.0f} s", next_step="try again"
        ) from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        said = errors.decode(errors="replace").strip() or output.decode(errors="replace").strip()
        raise CommandFault(
            f"`{' '.join(argv)}` failed: {said.splitlines()[-1] if said else process.returncode}",
            next_step="see what it complains about",
        )
    return output.decode(errors="replace")

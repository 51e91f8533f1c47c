"""New connections at a fixed rate from where this runs, one after another until its input ends.

    python -m mesh_bench.rate HOST PORT RATE LIMIT

An open loop: each connection begins when it is due, whether or not earlier ones were served. It asks for one
byte of the load program's server and has LIMIT seconds for it. At the end one line of JSON is written.

Each comes from a port that was not used for minutes. The kernel would give ports again that were used for
connections to a gateway that is lost, and a node's connection tracking sends what comes from them there for
two minutes more: many clients do not meet that, one that makes all connections does, in bursts.
"""

import asyncio
import sys
import time

import msgspec

from mesh_bench.attempts import Attempt, Attempts

_WANT_ONE = b"C"
_TURN = 0.002
_PORTS = range(1024, 65024)


async def attempt(host: str, port: int, *, own: int, limit: float) -> Attempt:
    """One connection from port `own`, and how it went; begun now."""
    begun = time.monotonic()
    fault = ""
    try:
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_connection(host, port, local_addr=("0.0.0.0", own))
            try:
                writer.write(_WANT_ONE)
                if len(await reader.read(1)) != 1:
                    fault = "closed"
            finally:
                writer.close()
    except TimeoutError:
        fault = "late"
    except OSError as error:
        fault = type(error).__name__
    return Attempt(begun=begun, took=time.monotonic() - begun, fault=fault)


async def offer(host: str, port: int, *, rate: float, limit: float, stop: asyncio.Event) -> Attempts:
    """All that was begun until `stop`, in the order of their beginnings."""
    started = time.monotonic()
    # By the clock, so that the next run goes on where this one ends.
    first = int(started * rate)
    tasks: list[asyncio.Task[Attempt]] = []
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            for _ in range(int((time.monotonic() - started) * rate) - len(tasks)):
                own = _PORTS[(first + len(tasks)) % len(_PORTS)]
                tasks.append(group.create_task(attempt(host, port, own=own, limit=limit)))
            await asyncio.sleep(_TURN)
    return Attempts(tuple(task.result() for task in tasks))


async def main() -> None:
    """Offers until the end of standard input, and says what came of it."""
    host, port, rate, limit = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    made = await offer(host, port, rate=rate, limit=limit, stop=stop)
    sys.stdout.buffer.write(msgspec.json.encode(made) + b"\n")


if __name__ == "__main__":
    asyncio.run(main())

"""How long a small GET takes at a member's API server, and how long through the access proxy.

    python -m mesh_bench.access_bench [--requests N] [--rounds N] [--json FILE]

Each way has one connection that is kept, and the same client; the ways take turns in blocks, so that whatever
else the machine does hits them alike. The proxy is a process of its own, once as it is and once with what it
keeps of the hub's answers switched off, so that each request asks the hub about the caller anew.
"""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import uvloop

from mesh_bench.access_pair import MEMBER, PATH, AccessPair, access_pair
from mesh_bench.bed import child_environment
from mesh_bench.faults import BenchFault
from mesh_bench.figures import percentile
from mesh_bench.machine import commit, load, machine
from mesh_core.errors import MeshError
from mesh_runtime.clock import utc_now

WAYS = ("direct", "proxy", "proxy, nothing kept")
_KEPT = 3600.0
_LIMIT = 60.0
_WARM = 50


@click.command()
@click.option("--requests", default=500, show_default=True, type=click.IntRange(min=1), help="Of a block.")
@click.option("--rounds", default=10, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
def main(requests: int, rounds: int, target: Path | None) -> None:
    """Measure, print, and write JSON."""
    started = utc_now().isoformat(timespec="seconds")
    try:
        seconds = compared(requests=requests, rounds=rounds)
    except MeshError as error:
        raise click.ClickException(str(error)) from error
    rows = [_row(way, seconds[way], direct=seconds["direct"]) for way in WAYS]
    for row in rows:
        click.echo(f"{row['way']:22} p50 {row['p50_us']} us, p99 {row['p99_us']} us, p50 x {row['ratio']}")
    if target is not None:
        head = {"bench": "access", "commit": commit(), "machine": machine(), "started": started}
        target.write_text(json.dumps({**head, "rows": rows, "load": load()}, indent=1) + "\n")


def compared(*, requests: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each request in the order in which they were made, by way; raises MeshError."""
    with access_pair() as pair, proxy(pair, _KEPT) as kept, proxy(pair, 0.0) as bare:
        places = (pair.address("member"), ("127.0.0.1", kept), ("127.0.0.1", bare))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_measured(pair, places, requests=requests, rounds=rounds))


@contextmanager
def proxy(pair: AccessPair, kept_seconds: float) -> Iterator[int]:
    """The port of a proxy that runs while the block does."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "mesh_bench.access_program", str(port), str(kept_seconds)],
        env={**child_environment(), "KUBECONFIG": str(pair.set / "kubeconfig")},
        stdin=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(_LIMIT)


async def _measured(
    pair: AccessPair, places: tuple[tuple[str, int], ...], *, requests: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each request, by way."""
    prefix = f"/clusters/{MEMBER}"
    contexts = (pair.administrator("member"), pair.administrator("hub"), pair.administrator("hub"))
    paths = (PATH, prefix + PATH, prefix + PATH)
    asked = [
        await _Asker.dialled(place, context, path=path)
        for place, context, path in zip(places, contexts, paths, strict=True)
    ]
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for one in asked:
        await one.ask(_WARM)
    for _ in range(rounds):
        for way, one in zip(WAYS, asked, strict=True):
            seconds[way] += await one.ask(requests)
    for one in asked:
        one.close()
    return seconds


class _Asker:
    """One connection that asks for one path, again and again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, path: str) -> None:
        self._reader = reader
        self._writer = writer
        self._request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\n\r\n".encode()

    @classmethod
    async def dialled(cls, place: tuple[str, int], context: ssl.SSLContext, *, path: str) -> "_Asker":
        """Connected, as soon as somebody listens there."""
        async with asyncio.timeout(_LIMIT):
            while True:
                try:
                    reader, writer = await asyncio.open_connection(*place, ssl=context)
                    return cls(reader, writer, path=path)
                except OSError:
                    await asyncio.sleep(0.1)

    async def ask(self, count: int) -> list[float]:
        """Seconds of each of `count` requests; raises BenchFault when one is not answered with 200."""
        seconds = []
        for _ in range(count):
            began = time.perf_counter()
            self._writer.write(self._request)
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await self._reader.readexactly(length)
            seconds.append(time.perf_counter() - began)
            if not head.startswith(b"HTTP/1.1 200 "):
                raise BenchFault(
                    f"{head[:12].decode()}: {body[:300].decode()}", next_step="look into the proxy's log"
                )
        return seconds

    def close(self) -> None:
        """End it."""
        self._writer.transport.abort()


def _row(way: str, seconds: list[float], *, direct: list[float]) -> dict[str, float | str]:
    p50, p99 = (percentile(seconds, share=share) * 1e6 for share in (0.5, 0.99))
    return {
        "way": way,
        "requests": len(seconds),
        "p50_us": round(p50),
        "p99_us": round(p99),
        "ratio": round(p50 / (percentile(direct, share=0.5) * 1e6), 2),
    }


if __name__ == "__main__":
    main()

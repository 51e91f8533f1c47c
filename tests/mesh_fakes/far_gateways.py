"""Gateways of east in processes of their own, that a test can kill, stop and start again at the same door."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

from msgspec import structs
from pyroute2 import netns

from mesh_fakes.backends import backend
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import LOOPBACK, free_port, ingress
from mesh_gateway.limits import Limits
from mesh_gateway.route import Address

_FORK = multiprocessing.get_context("fork")


class FarGateways:
    """`number` gateways of east; make it before any event loop runs in this process. `behind` is a process in
    whose network they live, where they are reached at `host`."""

    def __init__(
        self, clusterset: FakeClusterset, *, number: int, behind: int | None = None, host: str = LOOPBACK
    ) -> None:
        self.addresses = tuple(Address(host, free_port()) for _ in range(number))
        self._behind = behind
        self._clusterset = clusterset
        self._running: dict[int, BaseProcess] = {}
        for replica in range(number):
            self.start(replica)

    def start(self, replica: int) -> None:
        """That one serves, at its door."""
        port = self.addresses[replica].port
        started = _FORK.Process(
            target=_serve,
            args=(self._clusterset, replica, len(self.addresses), port, self._behind),
            daemon=True,
        )
        started.start()
        self._running[replica] = started

    def signal(self, which: signal.Signals, *, replica: int | None = None) -> None:
        """To all of them, or to one."""
        for number, process in self._running.items():
            if replica in (None, number):
                assert process.pid is not None
                os.kill(process.pid, which)

    def kill(self, replica: int) -> None:
        """That one is gone, without a word of its own."""
        process = self._running.pop(replica)
        process.kill()
        process.join()

    def end(self) -> None:
        """All are gone."""
        for replica in tuple(self._running):
            self.kill(replica)


@contextmanager
def far_gateways(
    clusterset: FakeClusterset, *, number: int, behind: int | None = None, host: str = LOOPBACK
) -> Iterator[FarGateways]:
    """They serve while the block runs; what is sent to HELLO there is read and forgotten."""
    made = FarGateways(clusterset, number=number, behind=behind, host=host)
    try:
        yield made
    finally:
        made.end()


def _serve(clusterset: FakeClusterset, replica: int, number: int, port: int, behind: int | None) -> None:
    if behind is not None:
        netns.setns(f"/proc/{behind}/ns/net")

    async def serve() -> None:
        async with (
            backend(_swallow) as sink,
            ingress(clusterset, "east", endpoints=(sink,), port=port, limits=Limits()) as half,
        ):
            named = tuple(f"east-{one}" for one in range(number))
            half.hello = structs.replace(half.hello, replica=f"east-{replica}", siblings=named)
            await asyncio.Event().wait()

    asyncio.set_event_loop_policy(None)
    asyncio.run(serve())


async def _swallow(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(1 << 20):
        pass

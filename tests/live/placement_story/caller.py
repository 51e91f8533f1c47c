"""What runs in a checkout pod: calls payments ten times a second, and tells of each call with one datagram.

    python caller.py HOST COLLECTOR PORT

1. Each call is a connection of its own, name and all, begun when it is due whether or not the last one has
   ended, and never tried again: what fails, a user would have seen.
2. It is ready, which is a port that takes connections, from its first answered call on; before that nobody
   would send it work, so nothing is told. Asked to end, it begins no more calls.
3. Times are of the machine's monotonic clock, which all clusters of one machine share.
"""

import asyncio
import os
import signal
import socket
import sys
import time

READY_PORT = 8081
PAYMENTS_PORT = 8080
EVERY = 0.1
LIMIT = 5.0


async def call(host: str) -> tuple[str, str]:
    """Who answered, or what went wrong."""
    try:
        async with asyncio.timeout(LIMIT):
            reader, writer = await asyncio.open_connection(host, PAYMENTS_PORT)
            try:
                writer.write(b"pay\n")
                answer = (await reader.readline()).decode().strip()
            finally:
                writer.close()
    except TimeoutError:
        return "", "late"
    except OSError as error:
        return "", type(error).__name__
    return (answer, "") if answer else ("", "closed")


class Caller:
    """`collector` is where datagrams go."""

    def __init__(self, host: str, collector: tuple[str, int]) -> None:
        self._host, self._collector = host, collector
        self._told = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._told.setblocking(False)
        self._who = f"{os.environ['NODE']} {os.environ['POD']}"
        self._answered = asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM."""
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        ready = asyncio.create_task(self._be_ready())
        number, due, calls = 0, time.monotonic(), set[asyncio.Task[None]]()
        while not stop.is_set():
            task = asyncio.create_task(self._one(number))
            calls.add(task)
            task.add_done_callback(calls.discard)
            number, due = number + 1, max(due + EVERY, time.monotonic() - 1)
            await asyncio.sleep(due - time.monotonic())
        ready.cancel()
        await asyncio.gather(*calls)

    async def _one(self, number: int) -> None:
        begun = time.monotonic()
        answer, fault = await call(self._host)
        if not fault:
            self._answered.set()
        if self._answered.is_set():
            took = time.monotonic() - begun
            text = f"{self._who} {number} {begun:.6f} {took:.6f} {answer or '-'} {fault or '-'}"
            self._told.sendto(text.encode(), self._collector)

    async def _be_ready(self) -> None:
        await self._answered.wait()
        async with await asyncio.start_server(lambda _reader, writer: writer.close(), "0.0.0.0", READY_PORT):
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(Caller(sys.argv[1], (sys.argv[2], int(sys.argv[3]))).run())

"""Calls without end, from the network of a pod; prints one line for each until its input ends.

    python upgrade_caller.py NAMESERVER WAY NAME

WAY is `call`: a name is looked up, connected to and asked, each time anew; or `stream`: one connection, a
line on it every `EVERY` seconds, and a new one only after it broke. A line says when it began and how long it
took by the machine's monotonic clock, who answered, and what went wrong ("-" for nothing): `dns` is a
question without a good answer, and nothing is tried again.
"""

import asyncio
import contextlib
import sys
import time

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

PORT = 8090
EVERY = 0.1
LIMIT = 5.0


class NoAnswer(Exception):
    """Of DNS."""


async def addresses(name: str, *, server: str) -> list[str]:
    """What a pod is told; raises NoAnswer."""
    question = dns.message.make_query(name, "A")
    try:
        answer = await dns.asyncquery.udp(question, server, timeout=LIMIT)
    except dns.exception.DNSException as error:
        raise NoAnswer(f"dns:{type(error).__name__}") from error
    found = [
        str(record) for records in answer.answer if records.rdtype == dns.rdatatype.A for record in records
    ]
    if not found:
        raise NoAnswer(f"dns:{dns.rcode.to_text(answer.rcode())}")
    return found


async def called(name: str, *, server: str, turn: int) -> str:
    """Who answered one call on a connection of its own."""
    found = sorted(await addresses(name, server=server))
    reader, writer = await asyncio.open_connection(found[turn % len(found)], PORT)
    try:
        return await asked(reader, writer)
    finally:
        writer.close()


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Who answers one line."""
    writer.write(b"?\n")
    answer = (await reader.readline()).decode().strip()
    if not answer:
        raise ConnectionResetError
    return answer


class Stream:
    """The one connection; made anew by the first question after it broke."""

    def __init__(self, name: str, *, server: str) -> None:
        self._name, self._server = name, server
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> str:
        """Who answers at the other end."""
        try:
            if self._ends is None:
                found = await addresses(self._name, server=self._server)
                self._ends = await asyncio.open_connection(found[0], PORT)
            return await asked(*self._ends)
        except BaseException:
            if self._ends is not None:
                self._ends[1].close()
                self._ends = None
            raise


async def one(way: str, name: str, *, server: str, turn: int, stream: Stream) -> None:
    """One call, and its line."""
    begun = time.monotonic()
    answer, fault = "-", "-"
    try:
        async with asyncio.timeout(LIMIT):
            answer = await (stream.ask() if way == "stream" else called(name, server=server, turn=turn))
    except TimeoutError:
        fault = "late"
    except (NoAnswer, OSError) as error:
        fault = str(error) if isinstance(error, NoAnswer) else type(error).__name__
    print(f"{turn} {begun:.6f} {time.monotonic() - begun:.6f} {answer} {fault}", flush=True)


async def main(server: str, way: str, name: str) -> None:
    """Until standard input ends."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    stream, turn, due = Stream(name, server=server), 0, time.monotonic()
    async with asyncio.TaskGroup() as calls:
        while not stop.is_set():
            due = max(due + EVERY, time.monotonic() - 1)
            doing = one(way, name, server=server, turn=turn, stream=stream)
            # On one stream there is one question at a time.
            await (doing if way == "stream" else _begun(calls.create_task(doing)))
            turn += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await stop.wait()


async def _begun(_task: "asyncio.Task[None]") -> None:
    """Calls are begun when they are due, whether or not the last one has ended."""


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""dnsperf (DNS-OARC): asks questions of a file as fast as answers come, or at a rate, and says what came.

It keeps at most so many questions open at a time, over so many sockets, with one thread. A question without
an answer after two seconds is lost.
"""

import asyncio
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mesh_bench.faults import BenchFault

_SOCKETS = 16
_LOST_AFTER = 2
_START_LIMIT = 60.0
_COUNT = re.compile(r"^\s*Queries (sent|completed|lost):\s+(\d+)", re.MULTILINE)
_SECONDS = re.compile(r"^\s*Run time \(s\):\s+([\d.]+)", re.MULTILINE)
_RCODES = re.compile(r"^\s*Response codes:\s+(.*)$", re.MULTILINE)
_ANSWERED = re.compile(rb"^> [A-Z]+ .* ([\d.]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Asking:
    """How to ask. Either `times` through the file, or `seconds` long; `rate` in queries a second, 0 for all
    that it can. With `each` the latency of every single answer is noted, which costs the asker time."""

    target: str
    port: int
    questions: Path
    seconds: float = 0.0
    times: int = 0
    rate: int = 0
    open: int = 100
    tcp: bool = False
    each: bool = False

    def argv(self) -> list[str]:
        """The command."""
        limit = ["-n", str(self.times)] if self.times else ["-l", f"{self.seconds:g}"]
        return [
            *("dnsperf", "-s", self.target, "-p", str(self.port), "-d", str(self.questions)),
            *("-m", "tcp" if self.tcp else "udp", "-c", str(_SOCKETS), "-T", "1"),
            *("-q", str(self.open), "-t", str(_LOST_AFTER), *limit),
            *(("-Q", str(self.rate)) if self.rate else ()),
            *(("-v",) if self.each else ()),
        ]


@dataclass(frozen=True, slots=True)
class Came:
    """Counts, answers by response code, seconds it took, and latencies in seconds if they were asked for."""

    sent: int
    lost: int
    seconds: float
    rcodes: Mapping[str, int]
    latencies: tuple[float, ...] = ()

    @property
    def answers(self) -> int:
        """Answers that came in time."""
        return sum(self.rcodes.values())


def read(said: str) -> Came:
    """What dnsperf's report says. Raises ValueError when it is none."""
    counts = {what: int(number) for what, number in _COUNT.findall(said)}
    seconds, codes = _SECONDS.search(said), _RCODES.search(said)
    if seconds is None or not counts.keys() >= {"sent", "lost"}:
        raise ValueError("no report of dnsperf")
    found = re.findall(r"([A-Z]+) (\d+) ", codes[1] + " ") if codes else []
    return Came(counts["sent"], counts["lost"], float(seconds[1]), {code: int(many) for code, many in found})


def latencies(said: bytes) -> tuple[float, ...]:
    """Seconds until each answer, from what it says with `-v`."""
    return tuple(float(one) for one in _ANSWERED.findall(said))


async def dnsperf(asking: Asking, *, network: Path) -> Came:
    """Runs it in that network namespace. Raises BenchFault when it does not work."""
    # Into memory: a pipe that is read slowly would make the asker slow.
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        running = await asyncio.create_subprocess_exec(
            *("nsenter", f"--net={network}", "--", *asking.argv()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(asking.seconds + _START_LIMIT):
                await running.wait()
        finally:
            if running.returncode is None:
                running.kill()
                await running.wait()
        file.seek(0)
        said = file.read()
    report = said[said.rfind(b"\nStatistics:") :].decode(errors="replace")
    try:
        came = read(report)
    except ValueError as error:
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        raise BenchFault(f"dnsperf says: {' '.join(last)}", next_step="see to the server") from error
    return Came(came.sent, came.lost, came.seconds, came.rcodes, latencies(said) if asking.each else ())

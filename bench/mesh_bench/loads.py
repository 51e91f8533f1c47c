"""The load program (`bench/load`) as calls: what it is asked, and what it says."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mesh_bench.faults import BenchFault
from mesh_gateway.route import Address

_PATIENCE = 60.0
"""Seconds beyond the measurement itself: connections are made before it."""


class Measured(msgspec.Struct, frozen=True):
    """One line of the load program; see `Result` in bench/load/measure.go."""

    ops: int = 0
    errors: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    p50_us: float = 0.0
    p99_us: float = 0.0
    max_us: float = 0.0
    fault: str = ""
    begun: int = 0
    refused: int = 0
    timed_out: int = 0
    refused_p99_us: float = 0.0
    held: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A mode of the load program with its options; `seconds` is None where nothing ends by time."""

    mode: str
    connections: int = 1
    seconds: float | None = None
    size: int = 128
    count: int = 0
    rate: float = 0.0
    limit: float = 5.0
    slow: bool = False
    hello: str = ""
    alpn: str = ""

    def arguments(self, target: Address, *, pids: Sequence[int]) -> list[str]:
        """The command line after the program's name."""
        made = ["-mode", self.mode, "-addr", str(target), "-n", str(self.connections)]
        made += ["-size", str(self.size), "-count", str(self.count), "-limit", f"{self.limit}s"]
        made += ["-d", f"{self.seconds}s"] if self.seconds is not None else []
        made += ["-rate", f"{self.rate:.1f}"] if self.rate else []
        made += ["-slow"] if self.slow else []
        made += ["-hello", self.hello, "-alpn", self.alpn] if self.hello else []
        return [*made, "-pids", ",".join(map(str, pids))]


def ask(
    program: str, asked: Asked, *, target: Address, pids: Sequence[int] = (), last: bool = False
) -> Measured:
    """What one call measured. Raises BenchFault.

    With `last` whatever else wants to run comes first: a load without measure beside the server that it
    loads would otherwise starve that server, and what was measured would be their scheduler.
    """
    limit = _PATIENCE + (asked.seconds or 0)
    before = ["nice", "-n", "15"] if last else []
    try:
        ended = subprocess.run(
            [*before, program, *asked.arguments(target, pids=pids)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchFault(
            f"measuring {asked.mode} at {target} did not end in {limit:.0f} s", next_step="try again"
        ) from error
    return _read(ended.stdout, complaint=ended.stderr)


@contextmanager
def besides(program: str, asked: Asked | None, *, target: Address) -> Iterator[None]:
    """The same load goes on while the block runs; what it measures is not asked for. None: nothing."""
    if asked is None:
        yield
        return
    process = subprocess.Popen(
        [program, *asked.arguments(target, pids=())], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Held:
    """Connections that are kept open; `opened` says how many there are."""

    def __init__(self, process: "subprocess.Popen[bytes]", *, opened: Measured) -> None:
        self._process = process
        self.opened = opened

    def close(self) -> Measured:
        """How many still answered at the end. Raises BenchFault."""
        try:
            output, _ = self._process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise BenchFault("held connections do not end", next_step="try again") from error
        return _read(output, complaint=b"")


@contextmanager
def holding(program: str, asked: Asked, *, target: Address) -> Iterator[Held]:
    """Connections of `asked`, open while the block runs."""
    process = subprocess.Popen(
        [program, *asked.arguments(target, pids=())], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield Held(process, opened=_read(process.stdout.readline(), complaint=b""))
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _read(output: bytes, *, complaint: bytes) -> Measured:
    try:
        return msgspec.json.decode(output, type=Measured)
    except msgspec.DecodeError as error:
        said = complaint.decode(errors="replace").strip().splitlines()
        raise BenchFault(
            f"the load program said nothing that can be read: {said[-1] if said else output[:80]!r}",
            next_step="see whether it was killed",
        ) from error


def load_folder() -> Path:
    """Where its sources are."""
    return Path(__file__).resolve().parents[1] / "load"

"""What callers said of their calls, and the table of it."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

_LONGEST: Final = 1024


@dataclass(frozen=True, slots=True)
class Call:
    """One call from a pod; times in seconds of the machine's monotonic clock. `fault` is "" where it was
    answered, by a pod on node `answer`."""

    cluster: str
    pod: str
    number: int
    begun: float
    took: float
    answer: str
    fault: str


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the story. `made` and `failed` are calls of copies that count, `apart` those of a copy that
    the hub had given up; `gap` is the longest time without an answer."""

    name: str
    seconds: float
    made: int
    failed: int
    apart: int
    gap: float
    faults: str
    ways: str

    @property
    def rate(self) -> float:
        """Of success."""
        return 1 - self.failed / self.made if self.made else 0.0


@dataclass(slots=True)
class Calls:
    """All calls that were told, in the order in which that came; `given_up` are pods that do not count."""

    told: list[Call] = field(default_factory=list)
    given_up: set[str] = field(default_factory=set)

    def since(self, begun: float, *, cluster: str = "") -> list[Call]:
        """Those that began then or later, of one cluster or of all."""
        return [one for one in tuple(self.told) if one.begun >= begun and cluster in ("", one.cluster)]

    def pods(self, cluster: str) -> set[str]:
        """That called from there."""
        return {one.pod for one in tuple(self.told) if one.cluster == cluster}

    def phase(self, name: str, *, begun: float, ended: float) -> Phase:
        """What came of the calls that began in that time."""
        within = [one for one in self.since(begun) if one.begun < ended]
        counted = [one for one in within if one.pod not in self.given_up]
        answered = sorted(one.begun for one in counted if not one.fault)
        # What began shortly before ended in it: a gap at the edge is one of this phase.
        edges = [begun, *answered, ended]
        ways = Counter(f"{one.cluster}->{one.answer}" for one in counted if not one.fault)
        return Phase(
            name=name,
            seconds=ended - begun,
            made=len(counted),
            failed=sum(bool(one.fault) for one in counted),
            apart=len(within) - len(counted),
            gap=max(later - earlier for earlier, later in pairwise(edges)),
            faults=_counted(Counter(f"{one.cluster} {one.fault}" for one in counted if one.fault)),
            ways=_counted(ways),
        )

    def unheard(self) -> int:
        """Numbers that no datagram came with, though later ones did; of copies that count."""
        numbers: dict[str, list[int]] = {}
        for one in tuple(self.told):
            if one.pod in self.given_up:
                continue
            numbers.setdefault(one.pod, []).append(one.number)
        return sum(max(found) - min(found) + 1 - len(set(found)) for found in numbers.values())


@contextmanager
def collected(host: str) -> Iterator[tuple[Calls, tuple[str, int]]]:
    """Listens for callers at `host` while the block runs; the calls, and where datagrams are to go."""
    calls, stop = Calls(), threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((host, 0))
        taken.settimeout(0.2)

        def listen() -> None:
            while not stop.is_set():
                try:
                    calls.told.append(_read(taken.recv(_LONGEST)))
                except TimeoutError:
                    continue

        listener = threading.Thread(target=listen, name="calls")
        listener.start()
        try:
            yield calls, taken.getsockname()
        finally:
            stop.set()
            listener.join()


def table(phases: Sequence[Phase]) -> str:
    """For people."""
    lines = [
        f"{'phase':44} {'calls':>6} {'failed':>6} {'rate':>9} {'seconds':>8} {'longest gap':>11}  answers"
    ]
    for one in phases:
        row = (
            f"{one.name:44} {one.made:6} {one.failed:6} {one.rate:9.3%} {one.seconds:8.1f} {one.gap:9.2f} s  "
        )
        apart = f"; {one.apart} of a copy that was given up" if one.apart else ""
        lines.append(f"{row}{one.ways}{'; ' if one.faults else ''}{one.faults}{apart}")
    return "\n".join(lines)


def recovered(calls: Calls, *, since: float, clusters: Collection[str]) -> float:
    """Seconds from `since` to the end of the first call from one of these clusters that was answered."""
    ends = [one.begun + one.took for one in calls.since(since) if one.cluster in clusters and not one.fault]
    return min(ends) - since if ends else float("inf")


def now() -> float:
    """By the clock of the calls."""
    return time.monotonic()


def _read(datagram: bytes) -> Call:
    cluster, pod, number, begun, took, answer, fault = datagram.decode().split()
    words = [one if one != "-" else "" for one in (answer, fault)]
    return Call(cluster, pod, int(number), float(begun), float(took), *words)


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items()))

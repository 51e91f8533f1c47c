"""A root rotation while connections are offered: `meshctl trust rotate`, alone or killed at each step."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import msgspec

from mesh_bench.attempts import Attempts, Outcome, outcome
from mesh_bench.failures import client
from mesh_bench.faults import BenchFault
from mesh_bench.figures import Json
from mesh_bench.full_pair import CLUSTERS, FullPair
from mesh_bench.machine import load
from mesh_bench.rotation_end import Counts, End, Ending, ending, restarts_between
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import TrustBundle
from mesh_core.trust_statement import held_by

WORKS = ("undisturbed", "killed")
_LEAD = 5.0
_TAIL = 20.0
"""Seconds in which what the last step left to be done would show."""
_MOST_RUNS = 40
_TIMES = re.compile(r"\s*\([\d.]+ s\).*|^\W+")


@dataclass(frozen=True, slots=True)
class Rotation:
    """One rotation: what callers noticed, how long it took, how often it was killed, and what it left.

    `undisturbed` is the end of the one that nobody killed, to compare with.
    """

    work: str
    rate: float
    outcome: Outcome
    took: float
    killed_at: tuple[str, ...]
    restarts: int
    end: End
    load: float
    undisturbed: End | None = None

    def as_json(self) -> Json:
        """As it stands in the results."""
        return {
            "work": self.work,
            "rate": self.rate,
            **self.outcome.as_json(),
            "rotation_took": round(self.took, 1),
            "killed_at": list(self.killed_at),
            "restarts": self.restarts,
            **self.end.as_json(undisturbed=self.undisturbed),
            "load": self.load,
        }

    def as_text(self) -> str:
        """A few lines."""
        seen = self.outcome
        killed = f", killed {len(self.killed_at)} times" if self.killed_at else ""
        return (
            f"{self.work}: {seen.failed} of {seen.begun} failed, later than 1 s {seen.slow}, "
            f"p50 {seen.p50 * 1e3:.1f} ms, p99 {seen.p99 * 1e3:.0f} ms, {seen.faults}; rotation took "
            f"{self.took:.1f} s{killed}; restarts {self.restarts}; "
            f"{self.end.as_text(undisturbed=self.undisturbed)}; load {self.load:.1f}"
        )


def rotate(pair: FullPair, work: str, *, rate: float, undisturbed: End | None = None) -> Rotation:
    """One rotation under `rate` new connections a second, its end beside `undisturbed`. Raises BenchFault."""
    before = restarts(pair)
    process = client(pair, rate=rate)
    try:
        time.sleep(_LEAD)
        began = time.monotonic()
        killed = _until_done(pair) if work == "killed" else _once(pair)
        took = time.monotonic() - began
        time.sleep(_TAIL)
        window, busy = time.monotonic() - began, load()
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    made = msgspec.json.decode(said, type=Attempts)
    return Rotation(
        work=work,
        rate=rate,
        outcome=outcome(made, fault=began, window=window),
        took=took,
        killed_at=killed,
        restarts=restarts_between(before, restarts(pair)),
        end=End(tuple(_ending(pair, cluster) for cluster in CLUSTERS)),
        load=round(busy, 1),
        undisturbed=undisturbed,
    )


def restarts(pair: FullPair) -> Counts:
    """The pods of ours in both clusters, with how often their containers were restarted."""
    counts: dict[str, int] = {}
    for cluster in CLUSTERS:
        for pod in pair.pods(cluster, SYSTEM_NAMESPACE, "app.kubernetes.io/part-of=clusterset-mesh"):
            containers = pod["status"].get("containerStatuses", ())
            counts[str(pod["metadata"]["uid"])] = sum(int(one["restartCount"]) for one in containers)
    return counts


def _once(pair: FullPair) -> tuple[str, ...]:
    pair.meshctl(*_words(pair))
    return ()


def _until_done(pair: FullPair) -> tuple[str, ...]:
    """Runs it again and again, killed when a step shows that was not seen before, until it ends by itself."""
    seen: list[str] = []
    for _ in range(_MOST_RUNS):
        process = subprocess.Popen(
            [sys.executable, "-m", "mesh_cli", *_words(pair)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        fresh = ""
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            step = _TIMES.sub("", line.strip())
            if step and step not in seen:
                fresh = step
                os.kill(process.pid, signal.SIGKILL)
                break
        process.stderr.close()
        status = process.wait()
        if not fresh and status == 0:
            return tuple(seen)
        if not fresh:
            raise BenchFault(f"the rotation failed: {' '.join(said)[-500:]}", next_step="see what it says")
        seen.append(fresh)
    raise BenchFault(
        f"the rotation has more than {_MOST_RUNS} steps", next_step="see them: " + "; ".join(seen)
    )


def _words(pair: FullPair) -> tuple[str, ...]:
    config = ("--kubeconfig", str(pair.set / "kubeconfig"))
    return (*config, "trust", "rotate", "--trust", str(pair.folder / "trust"), "--context", "west")


def _ending(pair: FullPair, cluster: str) -> Ending:
    text = pair.kubectl(cluster, "get", "trustbundle", "clusterset", "-o", "json")
    return ending(cluster, held_by(msgspec.json.decode(text, type=TrustBundle)).statement)

"""Things that happen to gateways, done one at a time while connections are offered."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from mesh_bench.attempts import Attempts, Outcome, outcome
from mesh_bench.bed import child_environment
from mesh_bench.faults import BenchFault
from mesh_bench.figures import Json
from mesh_bench.full_pair import PORT, FullPair, inside, processes, wait_for
from mesh_bench.machine import load
from mesh_core.names import CONTROLLER, GATEWAY, SYSTEM_NAMESPACE

WORKS = ("worker", "process", "pod", "node", "rollout")
_LEAD = 5.0
_PATIENCE = 5.0
"""Seconds that a connection has for its byte."""
_SETTLE = 8.0
_TABLE = "lost"
_WORKERS = "MESHCTL_GATEWAY_WORKERS"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One fault, and what came of it; `load` is the load average around it."""

    work: str
    side: str
    rate: float
    outcome: Outcome
    took: float
    load: float

    def as_json(self) -> Json:
        """As it stands in the results."""
        head = {"work": self.work, "side": self.side, "rate": self.rate}
        return {**head, **self.outcome.as_json(), "fault_took": round(self.took, 1), "load": self.load}

    def as_text(self) -> str:
        """One line."""
        seen = self.outcome
        return (
            f"{self.work:8} {self.side:8} failed {seen.failed:5} of {seen.begun} ({seen.share:.3%}), "
            f"last after {seen.recovered:.1f} s, later than 1 s {seen.slow}, p50 {seen.p50 * 1e3:.1f} ms, "
            f"p99 {seen.p99 * 1e3:.0f} ms, {seen.faults}, before {seen.failed_before}, window "
            f"{seen.window:.0f} s, load {self.load:.1f}"
        )


def measure(pair: FullPair, work: str, *, side: str, cluster: str, rate: float, window: float) -> Measurement:
    """Does it to a gateway of `cluster` while `rate` connections begin each second. Raises BenchFault."""
    with _arranged(pair, work, cluster=cluster):
        wait_for(lambda: pair.listed() == 2, what="two gateways in the slice", limit=90)
        time.sleep(_SETTLE)
        act, mend = _deed(pair, work, cluster=cluster)
        process = client(pair, rate=rate)
        try:
            time.sleep(_LEAD)
            fault = time.monotonic()
            act()
            took = time.monotonic() - fault
            time.sleep(max(0.0, fault + window - time.monotonic()))
            ended = time.monotonic() - fault
            busy = load()
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
            mend()
        made = msgspec.json.decode(said, type=Attempts)
    return Measurement(work, side, rate, outcome(made, fault=fault, window=ended), took, round(busy, 1))


def client(pair: FullPair, *, rate: float) -> "subprocess.Popen[bytes]":
    """New connections at that rate from west, until its input ends; then it says what came of them."""
    program = (sys.executable, "-m", "mesh_bench.rate", pair.address(), str(PORT), str(rate), str(_PATIENCE))
    return subprocess.Popen(
        [*inside(pair, "west"), *program],
        env=child_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@contextmanager
def _arranged(pair: FullPair, work: str, *, cluster: str) -> Iterator[None]:
    """What the work needs around it, and the gateways as they were afterwards."""
    if work == "worker":
        _workers(pair, cluster, "2")
    if work == "node":
        _one_on_each_node(pair, cluster)
        _controllers_elsewhere(pair, cluster)
    try:
        yield
    finally:
        if work == "worker":
            _workers(pair, cluster, "1")
        pair.rolled_out(cluster)


def _deed(pair: FullPair, work: str, *, cluster: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """What is done, and what undoes it."""
    first = pair.gateways(cluster)[0]
    inside_first = processes(first)

    def nothing() -> None:
        """There is nothing to undo."""

    def kill(*pids: int) -> Callable[[], None]:
        def act() -> None:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)

        return act

    def delete() -> None:
        name = first["metadata"]["name"]
        pair.kubectl(cluster, "-n", SYSTEM_NAMESPACE, "delete", "pod", name, "--wait=false")

    match work:
        case "worker":
            return kill(_a_worker(inside_first)), nothing
        case "process":
            return kill(*inside_first), nothing
        case "pod":
            return delete, nothing
        case "node":
            return lambda: _cut(pair, f"{cluster}-2"), lambda: _mend(pair, f"{cluster}-2")
        case _:
            return lambda: pair.roll(cluster), nothing


def _a_worker(pids: list[int]) -> int:
    """One of the container's processes whose parent is another one of them."""
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            parent = int(stat.read().rpartition(")")[2].split()[1])
        if parent in pids:
            return pid
    raise BenchFault(f"there are no workers among {pids}", next_step="see the gateway's log")


def _workers(pair: FullPair, cluster: str, count: str) -> None:
    pair.kubectl(*(cluster, "-n", SYSTEM_NAMESPACE, "set", "env", f"deploy/{GATEWAY}", f"{_WORKERS}={count}"))
    pair.rolled_out(cluster)


def _one_on_each_node(pair: FullPair, cluster: str) -> None:
    """The scheduler does it, unless it could not while pods came and went."""

    def apart() -> bool:
        return {pod["spec"]["nodeName"] for pod in pair.gateways(cluster)} == {cluster, f"{cluster}-2"}

    if not apart():
        pair.roll(cluster)
    if not apart():
        raise BenchFault(f"{cluster}: both gateways are on one node", next_step="run this work alone")


def _controllers_elsewhere(pair: FullPair, cluster: str) -> None:
    """To the first node: whether a leader was lost too is a question of its own."""
    node, deployment = f"{cluster}-2", f"deploy/{CONTROLLER}"
    pair.kubectl(cluster, "cordon", node)
    for component in ("controller", "dns"):
        for pod in pair.pods(cluster, SYSTEM_NAMESPACE, f"app.kubernetes.io/component={component}"):
            if pod["spec"]["nodeName"] == node:
                pair.kubectl(cluster, "-n", SYSTEM_NAMESPACE, "delete", "pod", pod["metadata"]["name"])
    pair.kubectl(cluster, "-n", SYSTEM_NAMESPACE, "rollout", "status", deployment, "--timeout=120s")
    pair.kubectl(cluster, "uncordon", node)


def _cut(pair: FullPair, node: str) -> None:
    """Whatever comes to the node's link or leaves by it is lost; the node itself goes on."""
    rules = f"""
table inet {_TABLE} {{
  chain comes {{ type filter hook prerouting priority -400; iifname "eth0" drop; }}
  chain goes {{ type filter hook postrouting priority 400; oifname "eth0" drop; }}
}}
"""
    _nft(pair, node, "-f", "-", rules=rules)


def _mend(pair: FullPair, node: str) -> None:
    _nft(pair, node, "delete", "table", "inet", _TABLE)
    words = ("wait", f"node/{node}", "--for=condition=Ready", "--timeout=90s")
    pair.kubectl(node.removesuffix("-2"), *words)


def _nft(pair: FullPair, node: str, *words: str, rules: str = "") -> None:
    enter = ("nsenter", f"--net={pair.namespace_of(node)}", "--", "nft", *words)
    subprocess.run(enter, input=rules, text=True, check=True, timeout=10)

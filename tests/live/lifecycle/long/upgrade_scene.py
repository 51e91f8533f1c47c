"""Both clusters serve two Services and call the other's, all the time; what came of each call."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from live.lifecycle.long.upgrade_caller import EVERY, PORT
from live.lifecycle.pair import CLUSTERS, HOME, Pair
from live.placement_story.calls import Call, Calls, Phase
from live.test_one_part_down import processes_of

WAYS = {"clusterip": ("call", "one-of"), "headless": ("call", "each-of"), "stream": ("stream", "one-of")}
"""How a program of `upgrade_caller` is started, by what the rows are called."""

_SERVER = f"""
import asyncio, sys
async def answer(reader, writer):
    try:
        while await reader.readline():
            writer.write(sys.argv[1].encode() + b"\\n")
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
async def main():
    async with await asyncio.start_server(answer, "0.0.0.0", {PORT}):
        await asyncio.Event().wait()
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """A program that calls; what it says goes to a file."""

    cluster: str
    way: str
    process: "subprocess.Popen[bytes]"
    told: Path

    def calls(self) -> Calls:
        """All that it has told."""
        lines = [line.split() for line in self.told.read_text().splitlines()]
        return Calls([self._call(line) for line in lines if len(line) == 5])

    def _call(self, line: Sequence[str]) -> Call:
        number, begun, took, answer, fault = line
        return Call(
            cluster=self.cluster,
            pod=self.way,
            number=int(number),
            begun=float(begun),
            took=float(took),
            answer=answer.replace("-", ""),
            fault=fault.replace("-", ""),
        )

    def phase(self, name: str, *, begun: float, ended: float) -> Phase:
        """What came of its calls of that time."""
        return self.calls().phase(f"{name}: {self.way} from {self.cluster}", begun=begun, ended=ended)


def other(cluster: str) -> str:
    """The one of the two that this one calls."""
    return next(one for one in CLUSTERS if one != cluster)


def services(cluster: str) -> list[dict[str, Any]]:
    """The Services that only this cluster has, and their exports."""
    made: list[dict[str, Any]] = []
    for kind, extra in (("one-of", {}), ("each-of", {"clusterIP": "None"})):
        meta = {"name": f"{kind}-{cluster}", "namespace": HOME}
        spec = {"selector": {"app": "hello"}, "ports": [{"name": "line", "port": PORT}], **extra}
        made.append({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
        made.append(
            {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "metadata": meta}
        )
    return made


@contextmanager
def serving(pair: Pair) -> Iterator[None]:
    """Each pod of `hello` answers lines with its cluster's name."""
    with ExitStack() as stack:
        for cluster in CLUSTERS:
            for pod in _pods(pair, cluster, "hello"):
                words = (sys.executable, "-c", _SERVER, cluster)
                stack.enter_context(_ended(subprocess.Popen([*_inside(pod), *words], stdin=-3)))
        yield


@contextmanager
def calling(pair: Pair, folder: Path) -> Iterator[list[Caller]]:
    """Each cluster calls the other in each way, while the block runs."""
    with ExitStack() as stack:
        callers = []
        for cluster in CLUSTERS:
            said = pair.hello.ask(cluster, "cat /etc/resolv.conf")
            server = next(line.split()[1] for line in said.splitlines() if line.startswith("nameserver"))
            [pod] = _pods(pair, cluster, "client")
            for way, (kind, service) in WAYS.items():
                name = f"{service}-{other(cluster)}.{HOME}.svc.clusterset.local"
                program = str(Path(__file__).parent / "upgrade_caller.py")
                told = folder / f"{cluster}-{way}"
                words = [*_inside(pod), sys.executable, program, server, kind, name]
                output = stack.enter_context(told.open("wb"))
                process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=output)
                stack.enter_context(_ended(process))
                callers.append(Caller(cluster, way, process, told))
        yield callers


def answered(caller: Caller, *, since: float, count: int) -> bool:
    """Whether the last calls since then were all answered, and are so many."""
    calls = caller.calls().since(since)[-count:]
    return len(calls) == count and not any(one.fault for one in calls)


def held(pair: Pair, cluster: str) -> dict[str, object]:
    """Imports, Services and slices with their UIDs, and what callers see of the first two."""
    kinds = "serviceimports.multicluster.x-k8s.io,services,endpointslices"
    text = pair.bed.kubectl(cluster, "-n", HOME, "get", kinds, "-o", "json")
    found: dict[str, object] = {}
    for item in json.loads(text)["items"]:
        spec = item.get("spec", {})
        seen = {key: spec.get(key) for key in ("ips", "clusterIP", "ports", "type")}
        found[f"{item['kind']}/{item['metadata']['name']}"] = (item["metadata"]["uid"], seen)
    return found


def gateways(pair: Pair, cluster: str) -> list[dict[str, Any]]:
    """All gateway pods, those that drain too."""
    words = ("-n", "meshctl-system", "get", "pods", "-l", "app.kubernetes.io/component=gateway", "-o", "json")
    items: list[dict[str, Any]] = json.loads(pair.bed.kubectl(cluster, *words))["items"]
    return items


def _pods(pair: Pair, cluster: str, app: str) -> list[dict[str, Any]]:
    text = pair.bed.kubectl(cluster, "-n", HOME, "get", "pods", "-l", f"app={app}", "-o", "json")
    items: list[dict[str, Any]] = json.loads(text)["items"]
    return items


def _inside(pod: dict[str, Any]) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{processes_of(pod)[0]}/ns/net", "--")


@contextmanager
def _ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        if process.stdin is not None:
            process.stdin.close()
        else:
            process.terminate()
        process.wait(timeout=30)


__all__ = ["EVERY", "WAYS", "Caller", "answered", "calling", "gateways", "held", "services", "serving"]

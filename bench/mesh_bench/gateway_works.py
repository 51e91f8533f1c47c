"""The works in which several systems are compared while all of them run: requests, connections, bulk."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from mesh_bench.comparisons import (
    CONNECTIONS,
    LATENCY,
    REPLIES,
    THROUGHPUT,
    Comparison,
    row_of,
    turns,
)
from mesh_bench.figures import Row
from mesh_bench.gateway_plan import Plan
from mesh_bench.loads import Asked, Measured, ask
from mesh_bench.machine import load
from mesh_bench.systems import (
    OURS,
    PAIRS,
    PASSED_NAME,
    PASSING,
    Running,
    Scene,
    backend,
    check,
    running,
)
from mesh_core.names import ALPN_PEER
from mesh_gateway.route import Address

Said = Callable[[Row], Row]
"""Tells whoever waits of a row, and gives it back."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Systems that run, and what is needed to measure them."""

    plan: Plan
    scene: Scene
    systems: dict[str, Running]

    def compare(
        self,
        made: Comparison,
        *,
        target: Callable[[Running], Address] | None = None,
    ) -> Row:
        """All systems in turns, as often as the plan says."""
        found: dict[str, list[Measured]] = {name: [] for name in self.systems}
        for run in range(self.plan.runs):
            for name in turns(tuple(self.systems), run=run):
                system = self.systems[name]
                where = system.target if target is None else target(system)
                seen = ask(self.scene.programs.load, made.asked, target=where, pids=system.pids)
                found[name].append(seen)
        return row_of(made, found, ours=OURS, load=load())


@contextmanager
def stage(plan: Plan, *, scene: Scene, peers: Sequence[str], passing: bool = False) -> Iterator[Stage]:
    """Ours and these peers, each tried once (not those that only pass TLS through)."""
    with ExitStack() as stack:
        stack.enter_context(backend(scene))
        systems = {
            name: stack.enter_context(running(name, scene=scene, passing=passing)) for name in (OURS, *peers)
        }
        if not passing:
            for system in systems.values():
                check(system, scene=scene)
        yield Stage(plan, scene, systems)


def common_works(plan: Plan, *, scene: Scene, said: Said) -> list[Row]:
    """`connections`, `request_reply` and `bulk`, as far as they are asked for."""
    wanted = [one for one in comparisons(plan.seconds) if one.work in plan.works]
    if not wanted:
        return []
    peers = [name for name in PAIRS if name in plan.peers]
    with stage(plan, scene=scene, peers=peers) as made:
        return [said(made.compare(one)) for one in wanted]


def passthrough_works(plan: Plan, *, scene: Scene, said: Said) -> list[Row]:
    """TLS passed through by server name."""
    if "passthrough" not in plan.works:
        return []
    asked = Asked("bulk", 8, plan.seconds, hello=PASSED_NAME, alpn=ALPN_PEER)
    peers = [name for name in PASSING if name in plan.peers]
    with stage(plan, scene=scene, peers=peers, passing=True) as made:
        return [
            said(
                made.compare(
                    Comparison(
                        "passthrough", {"streams": number}, replace(asked, connections=number), THROUGHPUT
                    ),
                    target=lambda system: system.door,
                )
            )
            for number in (1, 8)
        ]


def comparisons(seconds: float) -> list[Comparison]:
    """The table of what is compared near by, each measurement this long."""

    def requests(connections: int, size: int = 128) -> Comparison:
        return Comparison(
            "request_reply",
            {"connections": connections, "bytes": size},
            Asked("rr", connections, seconds, size=size),
            LATENCY if connections == 1 else REPLIES,
        )

    def bulk(streams: int) -> Comparison:
        return Comparison("bulk", {"streams": streams}, Asked("bulk", streams, seconds), THROUGHPUT)

    connections = Comparison("connections", {"concurrency": 16}, Asked("conn", 16, seconds), CONNECTIONS)
    return [connections, requests(1), requests(32), requests(512), requests(128, 4096), bulk(1), bulk(8)]

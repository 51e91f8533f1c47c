"""Says in MeshPeers what the prober finds: our own entry of `status.gateways`, written when it changes.

1. At most one write a peer and `_PAUSE`; one that fails is tried again, with what is found by then. That a
   peer is reached, or no more, waits for less: everybody's way depends on it, and it takes seconds to find.
2. What was measured on the way to a peer is written when it changed much, and then at most once in
   `FIGURES_REST`.
3. At an orderly end our entries go: whoever is not there has nothing to say.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from mesh_core.conditions import rfc3339
from mesh_core.errors import MeshError
from mesh_core.objects import MeshPeer
from mesh_core.path_report import FIGURES_REST, Finding, plan_report, plan_silence, report_of
from mesh_core.plan import Apply, Plan
from mesh_gateway.measured import Measured
from mesh_runtime.clock import Clock
from mesh_runtime.kube import MESH_PEERS, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)

_PAUSE = 1.0
_NEWS_PAUSE = 0.2
_FAREWELL = 2.0
"""Seconds for taking all our entries away; below the time between the end of readiness and the end."""


class Reporter:
    """Writes the entries of the gateway at `address`; `peers` gives the MeshPeers as the cache holds them."""

    def __init__(
        self, kube: KubeClient, *, address: str, peers: Callable[[], Iterable[MeshPeer]], clock: Clock
    ) -> None:
        self._kube = kube
        self._address = address
        self._peers = peers
        self._clock = clock
        self._findings: dict[str, Finding] = {}
        self._problems: dict[str, str] = {}
        self._measured: dict[str, Measured] = {}
        self._written: dict[str, float] = {}
        self._queue: WorkQueue[str] = WorkQueue()

    def found(self, cluster: str, finding: Finding) -> None:
        """The prober found this."""
        before = self._findings.get(cluster)
        finding = replace(finding, problem=self._problems.get(cluster, ""))
        self._findings[cluster] = finding
        if before != finding:
            tell = _log.info if finding.reachable else _log.warning
            tell(
                "the way to a peer",
                peer=cluster,
                reachable=finding.reachable,
                pods=finding.pods.value,
                tunnel=finding.tunnel.value,
                problem=finding.problem,
            )
        if before != finding or self._plan(cluster):
            self._queue.add_later(cluster, seconds=0.0)

    def problem(self, cluster: str, text: str) -> None:
        """A tunnel with the cluster is refused, by either side, because of `text`; "" ends that."""
        if text:
            self._problems[cluster] = text
        else:
            self._problems.pop(cluster, None)
        finding = self._findings.get(cluster)
        if finding is not None and finding.problem != text:
            self.found(cluster, finding)

    def measured(self, cluster: str, found: Measured) -> None:
        """Found in tunnels to the cluster; it is said with what the prober finds next."""
        self._measured[cluster] = found

    async def run(self) -> None:
        """Write, for ever."""
        await work(self._queue, self._write, name="path report")

    async def withdraw(self) -> None:
        """Take our entries away, as far as there is time; the controller sweeps what is left."""
        try:
            async with asyncio.timeout(_FAREWELL):
                for peer in tuple(self._peers()):
                    await self._apply(plan_silence(peer, address=self._address))
        except (MeshError, TimeoutError) as error:
            _log.warning("entries of this gateway stay in MeshPeers for a while", why=str(error))

    def _plan(self, cluster: str) -> Plan:
        peer = next((peer for peer in self._peers() if peer.metadata.name == cluster), None)
        finding = self._findings.get(cluster)
        if peer is None or finding is None:
            return ()
        return plan_report(
            peer,
            address=self._address,
            finding=_with(finding, self._measured.get(cluster)),
            now=self._clock(),
            figures_due=self._since_written(cluster) >= FIGURES_REST,
        )

    def _is_turn(self, cluster: str) -> bool:
        """Whether what we have found turns round what our entry says of the way."""
        finding = self._findings.get(cluster)
        said = next(
            (report_of(p, address=self._address) for p in self._peers() if p.metadata.name == cluster), None
        )
        if finding is None or said is None:
            return finding is not None
        return (said.reachable, said.pods) != (finding.reachable, finding.pods.value)

    def _since_written(self, cluster: str) -> float:
        """Seconds."""
        return asyncio.get_running_loop().time() - self._written.get(cluster, -math.inf)

    async def _write(self, cluster: str) -> float | None:
        pause = _NEWS_PAUSE if self._is_turn(cluster) else _PAUSE
        wait = pause - self._since_written(cluster)
        if wait > 0:
            return max(wait, _PAUSE / 10)
        plan = self._plan(cluster)
        if plan:
            self._written[cluster] = asyncio.get_running_loop().time()
            await self._apply(plan)
        return None

    async def _apply(self, plan: Plan) -> None:
        for step in plan:
            assert isinstance(step, Apply), "an entry is written by server-side apply"
            await self._kube.apply(
                MESH_PEERS, step.body, field_manager=step.manager, subresource=step.subresource
            )


def _with(finding: Finding, measured: Measured | None) -> Finding:
    if measured is None:
        return finding
    ends = measured.cert_not_after
    return replace(
        finding,
        rtt=max(1, round(measured.rtt * 1e6)),
        headroom=math.floor(measured.headroom * 100),
        cert_not_after=rfc3339(datetime.fromtimestamp(ends, UTC)) if math.isfinite(ends) else "",
    )

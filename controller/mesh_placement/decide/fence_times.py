"""`failover.fence`: when the agent stops what a Placement brought, so that it has ended before the hub begins
it elsewhere.

1. The agent stops it early enough that its pods have ended (their grace period), it was asked to once more
   (an agent that is restarted looks for some seconds first), and clocks of both sides run differently, all
   before the toleration of `unreachable` is over. The hub's seconds begin later than the agent's: at the
   verdict Dead, for which it needs the lost Lease and the peers.
2. Who bears a lost cluster for ever is never left, so there is nothing to fence.
3. What cannot be stopped is refused, and so is a toleration that leaves no time for it.
4. `purge: Immediately` takes a copy away before anybody has seen its replacement: only with a fence.
"""

from collections.abc import Iterable
from math import inf
from typing import Final

from mesh_placement.decide.pod_templates import Json, pod_spec
from mesh_placement.decide.tolerations import seconds_until_left
from mesh_placement.objects import PlacementSpec

GRACE: Final = 30
"""terminationGracePeriodSeconds of pods that say nothing else."""
SLACK: Final = 15
"""Seconds for the agent's first look after a start, its writes, and the member's controllers."""
DRIFT: Final = 0.1
"""Share of the toleration, for clocks: three times what a bad one is off."""
SHORTEST: Final = 10
"""Seconds: less would stop workloads for what is no failure."""


def fence_after(spec: PlacementSpec) -> int | None:
    """`fenceAfterSeconds` of its Assignments; None without a fence, and where there is nothing to fence."""
    if not spec.failover.fence:
        return None
    left = seconds_until_left(spec.require.tolerations)
    if left == inf:
        return None
    return max(SHORTEST, int(left - _needed(spec, left=left)))


def why_no_fence(spec: PlacementSpec) -> str:
    """What is wrong with what it says of fences, and what to do; "" when nothing is."""
    if spec.failover.purge == "Immediately" and not spec.failover.fence:
        return (
            "failover.purge: Immediately takes a copy away before its replacement was seen to work, and "
            "where a cluster is lost both may run; set failover.fence: true, or leave purge out"
        )
    if not spec.failover.fence:
        return ""
    for number, manifest in enumerate(spec.manifests):
        if manifest.get("kind") == "Pod" and manifest.get("apiVersion") == "v1":
            return (
                f"failover.fence: spec.manifests[{number}] is a Pod, which cannot be stopped and begun again"
                "; bring it as a Deployment or a Job"
            )
    left = seconds_until_left(spec.require.tolerations)
    needed = _needed(spec, left=left) + SHORTEST if left != inf else 0.0
    if left < needed:
        least = int((_grace(spec) + SLACK + SHORTEST) / (1 - DRIFT)) + 1
        return (
            f"failover.fence: a cluster that is lost is left after {left:.0f} s, and to stop this there "
            f"takes {needed:.0f} s; tolerate unreachable (NoExecute) for {least} s or more"
        )
    return ""


def _needed(spec: PlacementSpec, *, left: float) -> float:
    return _grace(spec) + SLACK + DRIFT * left


def _grace(spec: PlacementSpec) -> int:
    return max(_graces(spec.manifests), default=GRACE)


def _graces(manifests: Iterable[Json]) -> Iterable[int]:
    for one in manifests:
        pods = pod_spec(one, kind=str(one.get("kind", "")))
        if pods:
            said = pods.get("terminationGracePeriodSeconds")
            yield said if isinstance(said, int) and not isinstance(said, bool) else GRACE

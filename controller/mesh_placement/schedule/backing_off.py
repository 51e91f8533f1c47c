"""Clusters that are not tried for a while, longer after each failure."""

from msgspec.structs import replace

from mesh_placement.schedule.snapshot import Backoff, Memory

FIRST = 60.0
LONGEST = 3600.0
"""Seconds."""


def backed_off(memory: Memory, cluster: str, *, cause: str, now: float, longest: float = LONGEST) -> Memory:
    """The memory after one failure more in the cluster."""
    times = memory.failures.get(cluster, 0) + 1
    until = now + min(longest, FIRST * 2 ** min(times - 1, 10))
    others = (one for one in memory.backoffs if one.cluster != cluster)
    found = sorted((*others, Backoff(cluster, until, cause)), key=lambda one: one.cluster)
    return replace(memory, backoffs=tuple(found), failures={**memory.failures, cluster: times})


def forgetting(memory: Memory, *, now: float) -> Memory:
    """The memory without what is over; failures are kept, for the next one."""
    if all(one.until > now for one in memory.backoffs):
        return memory
    return replace(memory, backoffs=tuple(one for one in memory.backoffs if one.until > now))


def succeeded(memory: Memory, cluster: str) -> Memory:
    """The memory when the cluster has done what it failed to do."""
    if cluster not in memory.failures:
        return memory
    rest = {name: times for name, times in memory.failures.items() if name != cluster}
    return replace(memory, failures=rest)

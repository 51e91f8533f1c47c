"""Make before break: what has to go stays until what comes instead is there and traffic reaches it.

1. It goes at once where nobody serves any more (Dead), where it has no right to be (another ClusterSet,
   another tenant, a cluster that is not accepted), and where the user says `purge: Immediately`. With
   `purge: Never` it stays.
2. Else it stays until every share of the decision is ready and, where the placement has to do with other
   clusters, verified. A verification that never comes is not waited for longer than `graceSeconds`; what is
   not ready is.
3. As long as replicas are lacking, or nothing was found at all, it stays.
4. A new share whose traffic was tried and failed goes back: Backoff, longer each time, and the next one.
"""

from collections.abc import Mapping, Set

from msgspec import Struct
from msgspec.structs import replace

from mesh_placement.schedule.backing_off import backed_off, forgetting, succeeded
from mesh_placement.schedule.gathering import Findings
from mesh_placement.schedule.holding import calls_across
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.sharing import Shares, is_divided, wanted_replicas
from mesh_placement.schedule.snapshot import Memory, Share, Wanted

_AT_ONCE = frozenset({"NotInClusterSet", "NamespaceNotGranted", "NotAccepted"})
_SERVES_NOBODY = ("Dead", "DataPlaneDown")


class Leaving(Struct, frozen=True):
    """What stays for now although it has to go, and when to look again without a change."""

    held: Mapping[str, int | None]
    again: float | None = None


def leaving(look: Look, wanted: Wanted, findings: Findings, shares: Shares, *, chosen: Set[str]) -> Leaving:
    """What of the current shares has no place in the decision and stays all the same.

    `shares` is the decision without it. Who is `chosen` and gets nothing is not here: fewer are wanted.
    """
    going = {
        one.cluster: one for one in wanted.current if one.cluster not in shares and one.cluster not in chosen
    }
    staying = {
        name: share.replicas
        for name, share in going.items()
        if not goes_at_once(look, wanted, findings, name)
    }
    if not staying or wanted.spec.failover.purge == "Never":
        return Leaving(staying)
    if not shares or is_short(wanted, shares):
        return Leaving(staying)
    there = {one.cluster: one for one in wanted.current}
    waits = [_waits(wanted, there.get(name), replicas) for name, replicas in shares.items()]
    still = [until for until in waits if until is None or until > look.now]
    if not still:
        return Leaving({})
    known = [until for until in still if until is not None]
    return Leaving(staying, min(known, default=None))


def goes_at_once(look: Look, wanted: Wanted, findings: Findings, name: str) -> bool:
    """Law 1."""
    cluster = look.clusters.get(name)
    if cluster is None:
        return True
    purge = wanted.spec.failover.purge
    refusal = findings.refusals.get(name)
    if refusal is not None and refusal.rejection.code.partition("(")[0] in _AT_ONCE:
        return True
    return purge == "Immediately" or (purge != "Never" and cluster.standing in _SERVES_NOBODY)


def has_no_right(look: Look, findings: Findings, name: str) -> bool:
    """Whether it may not stay for a moment, whatever comes instead: the cluster is gone, or not for it."""
    refusal = findings.refusals.get(name)
    is_refused = refusal is not None and refusal.rejection.code.partition("(")[0] in _AT_ONCE
    return name not in look.clusters or (is_refused and any(one.name == name for one in findings.evicted))


def barred_from(wanted: Wanted, findings: Findings) -> frozenset[str]:
    """Clusters that are not for it by its newest spec, whether it has a share there or only what was left."""
    is_new = wanted.generation != wanted.decided_generation
    return frozenset(
        name
        for name, one in findings.refusals.items()
        if one.rejection.code.partition("(")[0] in _AT_ONCE and (is_new or one.rejection.evicts)
    )


def is_short(wanted: Wanted, shares: Shares) -> bool:
    """Whether they are less than what is wanted."""
    total = wanted_replicas(wanted)
    if total is None:
        return False
    each = [share or 0 for share in shares.values()]
    return sum(each) < total if is_divided(wanted) else any(share < total for share in each)


def after_failures(wanted: Wanted, *, now: float) -> Memory:
    """The memory with a Backoff for each new share whose traffic failed, without those that are over. One
    that was there for long, and has more or fewer replicas now, is not new."""
    memory = forgetting(wanted.memory, now=now)
    resting = {one.cluster for one in memory.backoffs}
    for share in wanted.current:
        is_new = (
            now < share.since + wanted.spec.failover.grace_seconds and share.cluster not in memory.resized
        )
        if share.verified:
            memory = succeeded(memory, share.cluster)
        elif share.verified is False and is_new and share.cluster not in resting:
            cause = f"calls failed: {share.trouble}" if share.trouble else "what it calls was not reached"
            memory = backed_off(memory, share.cluster, cause=cause, now=now)
    return memory


def with_resized(memory: Memory, wanted: Wanted, placed: Shares, *, now: float) -> Memory:
    """The memory after the decision `placed`, which begins `Share.since` anew where a number is another."""
    grace = wanted.spec.failover.grace_seconds
    found = {name: until for name, until in memory.resized.items() if now < until and name in placed}
    for share in wanted.current if wanted.spec.require.services else ():
        is_old = now >= share.since + grace or share.cluster in memory.resized
        if is_old and placed.get(share.cluster, share.replicas) != share.replicas:
            # The decision is written a moment after it was made.
            found[share.cluster] = now + 2 * grace
    return memory if found == memory.resized else replace(memory, resized=found)


def _waits(wanted: Wanted, share: Share | None, replicas: int | None) -> float | None:
    """Until when this share is waited for: None for as long as it takes, 0 no longer."""
    if share is None or share.verified is False:
        return None
    if replicas is not None and share.ready < replicas:
        return None
    if share.verified or not calls_across(wanted):
        return 0.0
    return share.since + wanted.spec.failover.grace_seconds

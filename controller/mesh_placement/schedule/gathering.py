"""Which clusters may take a placement, and why not the others: every filter asked, every cluster answered.

1. Every cluster that is rejected has one reason: the first one that is not room, else room; of what runs
   there the first one that drives it out.
2. A cluster that only lacks room is asked on by all filters: preemption helps only where nothing else is
   wrong.
3. What runs somewhere stays there unless a rejection evicts, or the spec is new and asks for something else.
   Room, readiness, taints that only keep away and rows that are too old never evict, however new the spec.
4. What a standing forbids to evict stays, whatever filters say (`holding`).
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mesh_placement.schedule import holding
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Filter, Rejection
from mesh_placement.schedule.snapshot import Cluster, Wanted

BACKOFF = "Backoff"
_ONLY_KEEP_AWAY = frozenset(
    {"UntoleratedTaint", "NotReady", "CapacityStale", "AtScaleLimit", "PathUnknown", "GatewaySaturated"}
    | {"CertExpiresSoon"}
)


class Refusal(Struct, frozen=True, gc=False):
    """Which rule rejects a cluster, and how."""

    rule: str
    rejection: Rejection


class Findings(Struct, frozen=True):
    """`open` may take replicas; `kept` have some and get no more; `evicted` lose theirs.

    `pinned` are those of `kept` that nothing may evict. `lacking` would be open if they had room.
    """

    open: tuple[Cluster, ...]
    kept: tuple[Cluster, ...]
    evicted: tuple[Cluster, ...]
    refusals: Mapping[str, Refusal]
    pinned: frozenset[str]
    lacking: tuple[Cluster, ...]


def gathered(look: Look, wanted: Wanted, filters: Sequence[Filter]) -> Findings:
    """What all filters say of all clusters."""
    every = look.snapshot.clusters
    here = {share.cluster for share in wanted.current}
    is_new = wanted.generation != wanted.decided_generation

    def goes(refusal: Refusal) -> bool:
        return refusal.rejection.evicts or (is_new and _is_of_the_spec(refusal))

    refusals = _before_filters(look, wanted)
    last: dict[str, Refusal] = {}
    # All of them as long as nobody is refused: whoever keeps facts of all has them at hand.
    asked = _still_asked(every, refusals, here)
    for rule in filters:
        rejections = rule.reject(look, wanted, asked)
        if not rejections:
            continue
        for name, rejection in rejections.items():
            refusal = Refusal(rule.name, rejection)
            if rejection.is_capacity:
                last.setdefault(name, refusal)
            elif name not in refusals or (name in here and goes(refusal) and not goes(refusals[name])):
                refusals[name] = refusal
        asked = _still_asked(asked, refusals, here)
    lacking = tuple(look.clusters[name] for name in last if name not in refusals and name not in here)
    return _sorted_out(every, here, goes, {**last, **refusals}, lacking)


def _still_asked(
    clusters: Sequence[Cluster], refusals: Mapping[str, Refusal], here: set[str]
) -> Sequence[Cluster]:
    if not refusals:
        return clusters
    return [one for one in clusters if one.name not in refusals or one.name in here]


def _before_filters(look: Look, wanted: Wanted) -> dict[str, Refusal]:
    found: dict[str, Refusal] = {}
    for one in wanted.memory.backoffs:
        if one.until > look.now:
            rejection = Rejection(
                BACKOFF, observed=one.cause, hint="tried again then", evicts=True, until=one.until
            )
            found[one.cluster] = Refusal(BACKOFF, rejection)
    for cluster in look.snapshot.clusters:
        if cluster.standing != "Ok" and cluster.name not in found:
            rejected = holding.standing_rejection(cluster, wanted, now=look.now)
            if rejected is not None:
                found[cluster.name] = Refusal(holding.NAME, rejected)
    return found


def _sorted_out(
    every: Sequence[Cluster],
    here: set[str],
    goes: Callable[[Refusal], bool],
    refusals: dict[str, Refusal],
    lacking: tuple[Cluster, ...],
) -> Findings:
    present = [one for one in every if one.name in here] if here else []
    pinned = frozenset(one.name for one in present if one.standing in holding.NEVER_EVICTS)
    kept, evicted = [], []
    for one in present:
        if one.name not in refusals:
            continue
        refusal = refusals[one.name]
        if goes(refusal) and one.name not in pinned:
            evicted.append(one)
        else:
            kept.append(one)
            if refusal.rejection.evicts:
                refusals[one.name] = Refusal(refusal.rule, replace(refusal.rejection, evicts=False))
    open_ = tuple([one for one in every if one.name not in refusals]) if refusals else tuple(every)
    return Findings(open_, tuple(kept), tuple(evicted), refusals, pinned, lacking)


def _is_of_the_spec(refusal: Refusal) -> bool:
    rejection = refusal.rejection
    keeps_away = rejection.is_capacity or rejection.code.partition("(")[0] in _ONLY_KEEP_AWAY
    return not keeps_away and refusal.rule != holding.NAME

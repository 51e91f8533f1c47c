"""What is said of every cluster: one verdict each.

What was said of a placement last is kept, and said anew only of clusters of which something is otherwise: the
same refusal, share, score and place among the others give the same words.
"""

from collections.abc import Collection, Mapping
from math import inf
from typing import Final

from msgspec import Struct

from mesh_placement.objects.placing import ClusterVerdict, Outcome
from mesh_placement.schedule.deciding import Given
from mesh_placement.schedule.gathering import BACKOFF, Refusal
from mesh_placement.schedule.keeping import Kept
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.row_changes import differing
from mesh_placement.schedule.sharing import Shares

MOST_KEPT: Final = 4096
"""Placements."""


class _Told(Struct, frozen=True):
    """All that a placement's verdicts depend on. `held` is what only stays for now, `pending` where room is
    made; `waits`: nothing is chosen although some could be, and this is why. `least` is the score of the
    worst chosen one, `has_spread` whether others could have been chosen."""

    refusals: Mapping[str, Refusal]
    held: Shares
    shares: Shares
    chosen: frozenset[str]
    totals: Mapping[str, float]
    parts_of: Mapping[str, dict[str, float]]
    pending: str
    waits: str
    least: float
    has_spread: bool

    def otherwise(self, before: "_Told") -> Collection[str] | None:
        """The clusters of which `before` said something else; None: it may be all of them."""
        if (self.pending, self.waits) != (before.pending, before.waits):
            return None
        if (self.least, self.has_spread) != (before.least, before.has_spread):
            return None
        refused = differing(before.refusals, self.refusals)
        return {
            *(one for one in refused if before.refusals.get(one) != self.refusals.get(one)),
            *differing(before.held, self.held),
            *differing(before.shares, self.shares),
            *(before.chosen ^ self.chosen),
            *differing(before.totals, self.totals),
            *differing(before.parts_of, self.parts_of),
        }

    def verdict(self, name: str) -> ClusterVerdict:
        """Of one cluster."""
        refusal = self.refusals.get(name)
        if name in self.held:
            return _refused(name, refusal, outcome="Held", replicas=self.held[name], waits=self.waits)
        if name in self.shares and not self.waits:
            return self._selected(name, refusal)
        if refusal is not None:
            return _refused(name, refusal, outcome=_outcome(name, refusal, self.pending), waits="")
        if self.waits:
            return ClusterVerdict(cluster=name, verdict="Held", hint=self.waits)
        return self._scored(name)

    def _selected(self, name: str, refusal: Refusal | None) -> ClusterVerdict:
        replicas, score, parts = self.shares[name], self.totals.get(name), self.parts_of[name]
        if refusal is None:
            return ClusterVerdict(
                cluster=name, verdict="Selected", score=score, parts=parts, replicas=replicas
            )
        told = refusal.rejection
        return ClusterVerdict(
            cluster=name,
            verdict="Held",
            filter=refusal.rule,
            code=told.code,
            observed=told.observed,
            required=told.required,
            hint=told.hint,
            score=score,
            parts=parts,
            replicas=replicas,
        )

    def _scored(self, name: str) -> ClusterVerdict:
        """Of one that could have been chosen, or was and gets nothing."""
        score, parts = self.totals.get(name, 0.0), self.parts_of[name]
        if name in self.chosen:
            return ClusterVerdict(cluster=name, verdict="ReplicaBudgetSpent", score=score, parts=parts)
        margin = None if self.least == inf else self.least - score
        is_better = self.has_spread and margin is not None and margin < 0
        return ClusterVerdict(
            cluster=name,
            verdict="Outranked",
            hint="it would not go with the tiers, the spread or the room of the others" if is_better else "",
            score=score,
            parts=parts,
            margin=margin,
        )


class _Last(Struct, frozen=True):
    places: Mapping[str, int]
    told: _Told
    verdicts: tuple[ClusterVerdict, ...]


_KEPT = Kept[str, _Last](MOST_KEPT)


def verdicts_of(
    look: Look, placement: str, given: Given, *, held: Shares, pending: str = "", waits: str = ""
) -> tuple[ClusterVerdict, ...]:
    """Of each cluster in the order of names."""
    chosen = frozenset([one.cluster for one in given.chosen])
    told = _Told(
        given.findings.refusals,
        held,
        given.shares,
        chosen,
        given.weighed.totals,
        given.weighed.parts_of,
        pending,
        waits,
        min([one.score for one in given.chosen], default=inf),
        bool(chosen) and len(chosen) < len(given.weighed.totals),
    )
    kept = _KEPT.get(placement)
    names = None
    if kept is not None and list(kept.places) == list(look.clusters):
        names = told.otherwise(kept.told)
    if kept is None or names is None:
        places = {one: at for at, one in enumerate(look.clusters)}
        found = _Last(places, told, tuple([told.verdict(name) for name in look.clusters]))
    else:
        verdicts = list(kept.verdicts)
        for name in names:
            if name in kept.places:
                verdicts[kept.places[name]] = told.verdict(name)
        found = _Last(kept.places, told, tuple(verdicts) if names else kept.verdicts)
    _KEPT.put(placement, found)
    return found.verdicts


def _refused(
    name: str, refusal: Refusal | None, *, outcome: Outcome, waits: str, replicas: int | None = None
) -> ClusterVerdict:
    if refusal is None:
        return ClusterVerdict(cluster=name, verdict=outcome, hint=waits, replicas=replicas)
    told = refusal.rejection
    return ClusterVerdict(
        cluster=name,
        verdict=outcome,
        filter=refusal.rule,
        code=told.code,
        observed=told.observed,
        required=told.required,
        hint=told.hint,
        replicas=replicas,
    )


def _outcome(name: str, refusal: Refusal, pending: str) -> Outcome:
    if name == pending:
        return "PreemptionPending"
    if refusal.rejection.holds:
        return "Held"
    return "Backoff" if refusal.rule == BACKOFF else "Rejected"

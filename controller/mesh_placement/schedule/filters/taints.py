"""Filter Taint: what keeps workloads away from a cluster, and what drives them out of it.

1. NoSchedule keeps new ones away; PreferNoSchedule only costs score and is not judged here.
2. NoExecute drives out what runs: at once, or, where it is tolerated for some seconds, when those are over.
   Until then it stays, and new ones are kept away: why bring what will have to go?
3. How long a taint is borne says `decide.tolerations`.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import inf

from mesh_placement.decide.tolerations import borne_seconds, fits
from mesh_placement.objects.placing import Toleration
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.row_facts import exceptions_of
from mesh_placement.schedule.snapshot import Cluster, HeldTaint, Wanted


class Taints:
    """UntoleratedTaint."""

    name = "Taint"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """Those with a taint that keeps it away or drives it out."""
        tolerations = wanted.spec.require.tolerations
        found: dict[str, Rejection] = {}
        tainted = exceptions_of(look, "tainted", clusters, lambda one: one.taints or None)
        for name, taints in tainted.items():
            rejection = _rejection(taints, tolerations=tolerations, now=look.now)
            if rejection is not None:
                found[name] = rejection
        return found


def borne_until(taint: HeldTaint, *, tolerations: Iterable[Toleration]) -> float:
    """When the taint begins to matter, in seconds since 1970: its own beginning where nothing tolerates it,
    never (`inf`) where it is tolerated for ever."""
    seconds = borne_seconds(tolerations, key=taint.key, effect=taint.effect, value=taint.value)
    return taint.since + (seconds or 0.0)


def tolerates(toleration: Toleration, *, taint: HeldTaint) -> bool:
    """Whether it is about this taint."""
    return fits(toleration, key=taint.key, effect=taint.effect, value=taint.value)


def _rejection(
    taints: Iterable[HeldTaint], *, tolerations: Iterable[Toleration], now: float
) -> Rejection | None:
    """By the taint that matters most: what drives out, then what will first, then what keeps away."""
    worst: tuple[int, float, HeldTaint] | None = None
    for taint in taints:
        until = borne_until(taint, tolerations=tolerations)
        if taint.effect == "PreferNoSchedule" or until == inf:
            continue
        rank = 2 if taint.effect == "NoSchedule" else int(now < until)
        if worst is None or (rank, until) < worst[:2]:
            worst = rank, until, taint
    return None if worst is None else _told(*worst, now=now)


def _told(rank: int, until: float, taint: HeldTaint, *, now: float) -> Rejection:
    value = f"={taint.value}" if taint.value else ""
    text = f"taint {taint.key}{value}:{taint.effect}"
    required = f"a toleration of {taint.key}"
    if rank == 2:
        hint = "tolerate it in require.tolerations, or remove the taint; what runs there stays"
        return Rejection("UntoleratedTaint", observed=text, required=required, hint=hint)
    if rank == 1:
        return Rejection(
            "UntoleratedTaint",
            observed=f"{text} since {now - taint.since:.0f} s, borne for {until - now:.0f} s more",
            required=required,
            hint="what runs there stays until then; nothing new goes there",
            until=until,
        )
    return Rejection(
        "UntoleratedTaint",
        observed=f"{text} since {now - taint.since:.0f} s",
        required=required,
        hint="what runs there goes elsewhere; tolerate it for some seconds to bear short troubles",
        evicts=True,
    )

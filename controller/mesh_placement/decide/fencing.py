"""Fencing, as the member decides it: when workloads are stopped because they may be begun elsewhere.

    runs -> fenced: for `fenceAfterSeconds` on end the Lease was not renewed, and no peers confirmed us
    fenced -> runs: the Lease is renewed, and the hub still has the Work here; if it has not, it is purged

1. A lost hub alone stops nothing: while enough peers are reached, they reach us too (tunnels go both ways),
   and the hub, once it is back, finds nobody Dead.
2. Enough are so many that no hub could find a majority against us. A hub that hears less than half of the
   set decides nothing; the rest of our ways may be at most half of the fewest that it hears.
3. A row says Up or Degraded, or it does not confirm: also what nobody knows is no confirmation.
4. Without peers nobody could call us dead: nothing is fenced.
5. Times are of one monotonic clock of the member. An agent that is restarted knows nothing of before: it has
   `FIRST_LOOK` seconds to hear somebody.
6. What is fenced stays that until the hub was heard, whatever peers say meanwhile: it may run elsewhere.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mesh_placement.decide.inventory import Ref
from mesh_placement.names import ANNOTATION_FENCE_AFTER, ANNOTATION_FENCED
from mesh_placement.objects import AppliedResource, AppliedWork, LinkState

FIRST_LOOK: Final = 10.0
"""Seconds after its start in which an agent looks for somebody who sees it."""

_REACHED: Final = ("Up", "Degraded")
_LONGEST: Final = 2**31 - 1
_SCALED: Final = {
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "replicasets"),
    ("", "replicationcontrollers"),
}
_SUSPENDED: Final = {("batch", "jobs"), ("batch", "cronjobs")}
_NOWHERE: Final = "placement.meshctl.dev/fenced"
"""A label that no node has: pods of a DaemonSet that asks for it end."""

Json = dict[str, Any]
"""JSON, hence Any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """When our agent began, its Lease was renewed last, and peers confirmed it last; None: not since then.

    A renewal counts from when it was asked for: the hub may have seen it at once.
    """

    began: float
    renewed: float | None = None
    confirmed: float | None = None

    def alone_since(self, *, after: float) -> float:
        """Since when nobody sees us, as far as a fence of `after` seconds is concerned (law 5)."""
        first = self.began - max(0.0, after - FIRST_LOOK)
        return max(one for one in (first, self.renewed, self.confirmed) if one is not None)


def is_confirmed(states: Collection[LinkState]) -> bool:
    """Laws 2 to 4: whether our ways to all peers are such that no hub may find us Dead."""
    heard = (len(states) + 2) // 2
    return 2 * sum(one not in _REACHED for one in states) <= heard


def seconds_to_fence(vitals: Vitals, *, after: float, now: float) -> float:
    """Until the fence falls if nobody is heard; 0 or less: now."""
    return vitals.alone_since(after=after) + after - now


def fence_after_of(applied: AppliedWork) -> int | None:
    """After how many seconds it is fenced, by what is noted on it; None for never, also for what does not
    read."""
    text = applied.metadata.annotations.get(ANNOTATION_FENCE_AFTER, "")
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:10]) <= _LONGEST else None


def fenced_since(applied: AppliedWork) -> str:
    """Since when it is fenced (RFC 3339), "" while it is not."""
    return applied.metadata.annotations.get(ANNOTATION_FENCED, "")


def may_be_custom(ref: Ref) -> bool:
    """Whether it is of somebody's own kind: whether that has replicas only the object tells."""
    return "." in ref.group and not ref.group.endswith((".k8s.io", ".meshctl.dev"))


def stopped(one: AppliedResource, *, since: str, has_replicas: bool = False) -> Json | None:
    """What to apply under the fence's own field manager so that it has no pods; None where it has none.

    `has_replicas`: an object of somebody's own kind says `spec.replicas`.
    """
    kind = one.group, one.resource
    spec: Json
    if kind in _SCALED or has_replicas:
        spec = {"replicas": 0}
    elif kind in _SUSPENDED:
        spec = {"suspend": True}
    elif kind == ("apps", "daemonsets"):
        spec = {"template": {"spec": {"nodeSelector": {_NOWHERE: "true"}}}}
    else:
        return None
    body = let_go(one)
    body["metadata"]["annotations"] = {ANNOTATION_FENCED: since}
    return {**body, "spec": spec}


def let_go(one: AppliedResource) -> Json:
    """The same with nothing of the fence: what only it had said is unsaid, and who applies says his again."""
    version = f"{one.group}/{one.version}" if one.group else one.version
    meta: Json = {"name": one.name}
    if one.namespace:
        meta["namespace"] = one.namespace
    if one.uid:
        meta["uid"] = one.uid  # else an apply would make what is gone
    return {"apiVersion": version, "kind": one.kind, "metadata": meta}


def changed_annotations(before: Mapping[str, str], *, after: int | None, since: str) -> dict[str, str | None]:
    """How the annotations of an AppliedWork are to be changed so that they say this; None takes one away."""
    wanted = {ANNOTATION_FENCE_AFTER: str(after) if after is not None else "", ANNOTATION_FENCED: since}
    return {name: text or None for name, text in wanted.items() if text != before.get(name, "")}


def next_look(waits: Iterable[float]) -> float | None:
    """Seconds until the first fence may fall; None where there is none."""
    # A little behind it, because a timer may be early by its own resolution.
    return min((max(0.0, one) + 0.05 for one in waits), default=None)

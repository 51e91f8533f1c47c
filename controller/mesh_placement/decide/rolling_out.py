"""Which clusters get a new revision now, and which keep what they have (`Placement.spec.rollout`).

1. At most `max_concurrent` clusters are under way at a time: given something else, and not available with it
   for `soak_seconds` yet. Who broke by an older revision counts as one of them and comes first.
2. A cluster that is not available within `progress_deadline_seconds` has failed. While more than
   `max_failures` have, nobody else is given anything. Else a failed one is in nobody's way.
3. Who has nothing yet, or lost part of it, gets the newest at once: what it had is kept nowhere else.
4. All of it follows from the marks in the Placement's status and from what is there: whoever leads next goes
   on, and another spec begins anew.

Replicas are not held back: only what the objects say is.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct

from mesh_core.conditions import rfc3339
from mesh_placement.decide.manifests import digest
from mesh_placement.objects import AssignmentSpec, PlacedCluster, Rollout, RolloutMark


class Copy(Struct, frozen=True):
    """A cluster's copy: digests of what it is to have and of what it was given, "" where that is not whole.

    `applied` is the revision that is in the member. `turn` is its place among others, the least first.
    """

    wanted: str
    has: str = ""
    applied: int = 0
    is_available: bool = False
    turn: int = 0


class RolledOut(Struct, frozen=True):
    """`clusters` with their new marks; by name who is `behind`, `under_way` and `failed`. `again` is when to
    look again though nothing changes."""

    clusters: tuple[PlacedCluster, ...]
    behind: tuple[str, ...] = ()
    under_way: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    is_stopped: bool = False
    again: datetime | None = None


def content_of(spec: AssignmentSpec, digests: Mapping[str, str]) -> str:
    """Of what a rollout is about: manifests (`digests` by Work), overrides, and as whom they are applied."""
    return digest(
        {
            "works": {name: digests[name] for name in spec.works},
            "overrides": msgspec.to_builtins(spec.overrides),
            "serviceAccount": msgspec.to_builtins(spec.service_account),
        }
    )


def rolled_out(
    clusters: Sequence[PlacedCluster],
    copies: Mapping[str, Copy],
    *,
    rule: Rollout,
    revision: int,
    now: datetime,
) -> RolledOut:
    """One step. Clusters without a copy (they leave, or a name is taken there) are passed over."""
    if rule.max_concurrent is None:
        return RolledOut(tuple(_marked(one, None) for one in clusters))
    marks = {
        one.cluster: _seen(one.rollout, copies[one.cluster], rule=rule, revision=revision, now=now)
        for one in clusters
        if one.cluster in copies
    }
    has_newest = [name for name, mark in marks.items() if mark.content == copies[name].wanted]
    open_ = [name for name in has_newest if not _is_through(marks[name], rule, now)]
    failed = [name for name in open_ if _until(marks[name], rule) <= now]
    under_way = [name for name in open_ if name not in failed]
    behind = sorted(marks.keys() - set(has_newest), key=lambda name: (copies[name].turn, name))
    is_stopped = len(failed) > rule.max_failures
    lame = [name for name in behind if not _is_through(marks[name], rule, now)]
    free = 0 if is_stopped else max(0, rule.max_concurrent - len(under_way))
    chosen = lame[:free]
    spare = free - len(lame)
    chosen += [name for name in behind if name not in lame][: max(0, spare)]
    for name in chosen:
        marks[name] = RolloutMark(content=copies[name].wanted, revision=revision, given_at=rfc3339(now))
    under_way += chosen
    return RolledOut(
        tuple(_marked(one, marks.get(one.cluster, one.rollout)) for one in clusters),
        behind=tuple(name for name in behind if name not in chosen),
        under_way=tuple(under_way),
        failed=tuple(failed),
        is_stopped=is_stopped,
        again=min((_until(marks[name], rule) for name in under_way), default=None),
    )


def _seen(
    mark: RolloutMark | None, copy: Copy, *, rule: Rollout, revision: int, now: datetime
) -> RolloutMark:
    """The mark by what is there now; what was through once is not asked again."""
    if not copy.has and (mark is None or mark.content != copy.wanted):
        return RolloutMark(content=copy.wanted, revision=revision)
    if mark is None:
        return RolloutMark(content=copy.has)
    is_good = copy.is_available and copy.has == mark.content and copy.applied >= mark.revision
    if is_good and not mark.good_since:
        return msgspec.structs.replace(mark, good_since=rfc3339(now))
    if is_good or not mark.good_since or _is_through(mark, rule, now):
        return mark
    return msgspec.structs.replace(mark, good_since="")


def _is_through(mark: RolloutMark, rule: Rollout, now: datetime) -> bool:
    """Whether what it was given has proved itself, or took nobody's place."""
    if not mark.given_at:
        return True
    return bool(mark.good_since) and now >= _moment(mark.good_since) + timedelta(seconds=rule.soak_seconds)


def _until(mark: RolloutMark, rule: Rollout) -> datetime:
    """When something becomes of it by itself: it is through, or has failed."""
    if mark.good_since:
        return _moment(mark.good_since) + timedelta(seconds=rule.soak_seconds)
    return _moment(mark.given_at) + timedelta(seconds=rule.progress_deadline_seconds)


def _moment(text: str) -> datetime:
    """Long ago where somebody wrote something else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _marked(one: PlacedCluster, mark: RolloutMark | None) -> PlacedCluster:
    return one if one.rollout == mark else msgspec.structs.replace(one, rollout=mark)

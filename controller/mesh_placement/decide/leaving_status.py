"""How a registration shows that its cluster leaves: the hub's half of the status, whole.

It is applied under the hub's field manager, so all that the hub has said before is said again, and nothing
of the agent's nor of anybody else's conditions.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Final

import msgspec

from mesh_core.conditions import as_json, rfc3339, settled, truth
from mesh_core.objects import Condition
from mesh_core.plan import Json
from mesh_core.plan import as_json as plain
from mesh_placement.decide.phase import HUB_CONDITIONS, READY
from mesh_placement.names import TAINT_LEAVING
from mesh_placement.objects import ClusterRegistration, ClusterRegistrationStatus, Taint

LEAVING: Final = "Leaving"
LAST_EXPORTER: Final = "LastExporter"
_OURS: Final = (*HUB_CONDITIONS, LEAVING, LAST_EXPORTER)
"""Condition types of the hub; all others on a registration are somebody else's."""
LAST_STAGE: Final = 8


class LeavingReason(Enum):
    """The reasons of condition Leaving: what is waited for."""

    BEGUN = "Begun"
    MOVING_WORKLOADS = "MovingWorkloads"
    WITHDRAWING = "Withdrawing"
    FOREIGN_FINALIZERS = "ForeignFinalizers"
    REMOVING_WORK = "RemovingWork"
    LEAVING_MESH = "LeavingMesh"
    PARTING = "Parting"
    CLEANING_HUB = "CleaningHub"
    FORCED = "Forced"
    DONE = "Done"


def leaving_status(
    registration: ClusterRegistration,
    *,
    stage: int,
    reason: LeavingReason,
    message: str,
    lost_since: str | None,
    last_exports: Iterable[str],
    now: datetime,
) -> Json | None:
    """The object to apply to the subresource status; None when that is what it shows already."""
    before = registration.status
    wanted = [
        Condition(type=LEAVING, status=truth(True), reason=reason.value, message=message),
        Condition(type=READY, status=truth(False), reason=LEAVING, message="the cluster leaves"),
        *_last_exporter(last_exports, before=before),
    ]
    kinds = {one.type for one in wanted}
    kept = [one for one in before.conditions if one.type in _OURS and one.type not in kinds]
    after = msgspec.structs.replace(
        before,
        phase="Left" if stage == LAST_STAGE else "Leaving",
        conditions=(*kept, *(settled(one, before=before.conditions, now=now) for one in wanted)),
        taints=_with_leaving(before.taints, now=now),
        lost_since=lost_since,
        leaving_since=before.leaving_since or rfc3339(now),
        stage=stage,
    )
    if _hubs_half(after) == _hubs_half(before):
        return None
    body = _hubs_half(after)
    if before.lost_since is not None and lost_since is None:
        body["lostSince"] = None  # said, not left out: whoever else has written it is meant too
    return {"metadata": {"name": registration.metadata.name}, "status": body}


def _hubs_half(status: ClusterRegistrationStatus) -> Json:
    body: Json = {name: value for name, value in plain(status).items() if value != "" and name != "agent"}
    body["conditions"] = sorted(
        (as_json(one) for one in status.conditions if one.type in _OURS),
        key=lambda one: str(one["type"]),
    )
    return body


def _last_exporter(services: Iterable[str], *, before: ClusterRegistrationStatus) -> list[Condition]:
    """The warning; it stays with its text when the exports have been withdrawn meanwhile."""
    names = ", ".join(services)
    if not names:
        return [one for one in before.conditions if one.type == LAST_EXPORTER]
    message = f"no other cluster exports {names} with ready endpoints; export it elsewhere first"
    return [Condition(type=LAST_EXPORTER, status=truth(True), reason=LAST_EXPORTER, message=message)]


def _with_leaving(taints: tuple[Taint, ...], *, now: datetime) -> tuple[Taint, ...]:
    if any(one.key == TAINT_LEAVING for one in taints):
        return taints
    return (*taints, Taint(key=TAINT_LEAVING, effect="NoSchedule", time_added=rfc3339(now)))

"""`meshctl explain --replay`: a stored cycle of the scheduler, run again without a hub."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mesh_cli.output import Answer
from mesh_cli.placement.decisions_render import replay_as_json, replay_as_text
from mesh_cli.placement.plan_failed import planning
from mesh_core.conditions import rfc3339
from mesh_core.errors import UserError
from mesh_placement.hub.placing.plugins import with_installed
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.replay import Record, differing, replay


class NoRecord(UserError):
    """A file that is no stored cycle, or not of this version."""

    def __init__(self, file: Path, *, why: str) -> None:
        super().__init__(
            f"{file} is no stored cycle: {why}",
            next_step="give a file that meshctl explain placement --capture of this version has written",
        )


def replayed(file: Path) -> Answer:
    """What the scheduler makes of it now, and of whom it made something else then.

    Raises NoRecord, PluginRefused, PlanFailed.
    """
    try:
        stored = file.read_bytes()
        record = msgspec.json.decode(stored, type=Record)
        moment = datetime.fromtimestamp(record.snapshot.now, UTC)
    except (OSError, OverflowError, ValueError) as error:  # msgspec's are ValueErrors
        raise NoRecord(file, why=str(error)) from error
    with planning():
        plan = replay(stored, with_installed(BUILT_IN))
    others = differing(plan, record.plan)
    return Answer(
        json=lambda: replay_as_json(plan.decisions, others=others, at=rfc3339(moment)),
        table=lambda: replay_as_text(plan.decisions, others=others, now=record.snapshot.now),
    )

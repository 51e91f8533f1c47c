"""Whom a change of root or key waits for: what members report, and the error that names who is behind."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from mesh_cli.trust.members import MemberAtHand
from mesh_cli.trust.survey import reports
from mesh_cli.trust.surveying import see_trust
from mesh_core.errors import Fault, MeshError
from mesh_core.objects.trust import Statement
from mesh_core.rotation import Behind, Report
from mesh_runtime.clock import utc_now
from mesh_runtime.secret_file import DISK, Files

LOOK_EVERY = 0.5
"""Seconds between two looks at what members report."""


class NotSettled(MeshError):
    """Members have not followed in time."""

    fault = Fault.PEER

    def __init__(self, behind: Sequence[Behind], *, phase: str, generation: int) -> None:
        clusters = ", ".join(told(one) for one in behind)
        names = " ".join(f"--proceed-without {one.cluster}" for one in behind)
        super().__init__(
            f"phase {phase} waits for generation {generation} of {clusters}",
            next_step="see meshctl trust status, and run the same again when they answer; whoever is no more "
            f"is left behind with {names}, and must join again to be believed",
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; `limit` in seconds is for each phase."""

    folder: Path
    contexts: tuple[str, ...]
    without: Set[str]
    limit: float
    files: Files = DISK


async def heard(members: Sequence[MemberAtHand], *, statement: Statement) -> dict[str, Report | None]:
    """What each member reports, None for one that is known and has not said.

    Peers that were evicted are waited for no more; those with a root of their own have nothing to do with
    ours.
    """
    asked = [await see_trust(one.client, context=one.context, clock=utc_now) for one in members]
    gone = {one.cluster for one in statement.refused} - {one.cluster for one in statement.roster}
    known = {peer.metadata.name for one in asked for peer in one.peers if peer.spec.trust is None} - gone
    found = reports(asked)
    return {
        cluster: Report(said.generation, said.root) if (said := found.get(cluster)) is not None else None
        for cluster in sorted(known | (found.keys() - gone))
    }


def told(one: Behind) -> str:
    """Who is waited for, and why."""
    if one.is_unnamed:
        return f"{one.cluster} (the roster has no certificate of it)"
    return f"{one.cluster} ({'not heard' if one.generation is None else f'at {one.generation}'})"

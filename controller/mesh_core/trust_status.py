"""What TrustBundle.status shows: the texts that peers passed on, the numbers in force, what was refused.

The status carries a text only while it is newer than that of the spec, and never an older one than was seen:
what every replica writes is the same, and a replica that lags takes nothing back.

| condition | True | False |
|---|---|---|
| Accepted | what peers passed on was taken, or is not newer | a peer passed on a text that is refused |
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

import msgspec

from mesh_core.conditions import as_json as condition_json
from mesh_core.conditions import settled, truth
from mesh_core.names import MANAGER
from mesh_core.objects import Condition, TrustBundle
from mesh_core.objects.trust import TrustBundleStatus
from mesh_core.plan import Apply, Json, Kind, Plan, as_json
from mesh_core.trust_statement import Held, held_by, newer_of

ACCEPTED: Final = "Accepted"
TRUST_MANAGER: Final = f"trust.{MANAGER}"
SHOWN_FOR: Final = timedelta(minutes=10)
"""For so long a refusal is shown: whoever insists is seen again, and shown again."""


class AcceptedReason(Enum):
    """The reasons of the condition."""

    ALL_ACCEPTED = "AllAccepted"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class RefusedText:
    """A text that was refused: who sent it, why, and when it was last seen."""

    sender: str
    why: str
    at: datetime

    @property
    def sentence(self) -> str:
        """For the condition."""
        return f"{self.sender} passed on a text that is refused: {self.why}"


def plan_trust_status(bundle: TrustBundle, *, held: Held, refused: RefusedText | None, now: datetime) -> Plan:
    """The write that makes the status show `held` and what was refused, if one is due.

    It holds only for the object as it was seen: another replica may have written something newer.
    """
    spec = held_by(TrustBundle(metadata=bundle.metadata, spec=bundle.spec))
    held = newer_of(held_by(bundle), held)
    condition = _condition(bundle, refused=refused, now=now)
    if held == Held() and condition.status == "True" and bundle.status == TrustBundleStatus():
        # Nobody has signed anything: there is nothing to show.
        return ()
    wanted = TrustBundleStatus(
        generation=held.generation,
        revision=held.revision,
        statement=held.signed_statement if held.generation > spec.generation else None,
        revocations=held.signed_revocations if held.revision > spec.revision else None,
        conditions=(condition,),
    )
    if wanted == msgspec.structs.replace(bundle.status, conditions=_ours(bundle)):
        return ()
    status: Json = {
        "generation": wanted.generation,
        "revision": wanted.revision,
        "conditions": [condition_json(condition)],
    }
    status |= {"statement": as_json(wanted.statement)} if wanted.statement is not None else {}
    status |= {"revocations": as_json(wanted.revocations)} if wanted.revocations is not None else {}
    metadata = {"name": bundle.metadata.name, "resourceVersion": bundle.metadata.resource_version}
    body = {"metadata": metadata, "status": status}
    return (Apply(kind=Kind.TRUST_BUNDLE, body=body, manager=TRUST_MANAGER, subresource="status"),)


def until_over(bundle: TrustBundle, *, refused: RefusedText | None, now: datetime) -> float | None:
    """Seconds until a refusal that is shown has been shown for long enough; None when none is."""
    shown = _shown(bundle)
    if shown is None or shown.status == "True":
        return None
    return max(1.0, (_last(shown, refused=refused) + SHOWN_FOR - now).total_seconds())


def _condition(bundle: TrustBundle, *, refused: RefusedText | None, now: datetime) -> Condition:
    """What this replica has seen, else what another one shows, as long as that is to be shown."""
    before, shown = bundle.status.conditions, _shown(bundle)
    is_new = refused is not None and now - refused.at < SHOWN_FOR
    if refused is not None and is_new:
        return settled(_said(bundle, sentence=refused.sentence), before=before, now=now)
    if shown is not None and shown.status != "True" and now - _last(shown, refused=None) < SHOWN_FOR:
        return shown
    return settled(_said(bundle, sentence=""), before=before, now=now)


def _said(bundle: TrustBundle, *, sentence: str) -> Condition:
    reason = AcceptedReason.REFUSED if sentence else AcceptedReason.ALL_ACCEPTED
    return Condition(
        type=ACCEPTED,
        status=truth(not sentence),
        reason=reason.value,
        message=sentence or "all that peers have passed on of trust was taken, or is not newer",
        observed_generation=bundle.metadata.generation,
    )


def _ours(bundle: TrustBundle) -> tuple[Condition, ...]:
    return tuple(one for one in bundle.status.conditions if one.type == ACCEPTED)


def _shown(bundle: TrustBundle) -> Condition | None:
    return next(iter(_ours(bundle)), None)


def _last(shown: Condition, *, refused: RefusedText | None) -> datetime:
    if refused is not None:
        return refused.at
    try:
        return datetime.strptime(shown.last_transition_time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)

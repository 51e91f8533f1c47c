"""What the hub has asked members to try, and what it heard of it. By the hub's clock alone.

1. An answer counts from when the hub saw it first. The same words with the same time of the member are the
   same answer, and get old: no member keeps one fresh by saying nothing new, whatever its clock is.
2. What lay there when it was asked is no answer.
3. An answer is kept for as long as it is good, also when nobody asks any more: what was made of it may not be
   written yet, and who was turned away by it would be asked again.
"""

from collections.abc import Callable, Collection, Mapping

from msgspec import Struct
from msgspec.structs import replace

from mesh_placement.schedule.plan import Plan, Probe
from mesh_placement.schedule.probing import GOOD_FOR
from mesh_placement.schedule.snapshot import ProbeResult

Said = tuple[str, str]
"""The result, and when by the member's clock."""
Says = Callable[[Probe], Said | None]


class _Entry(Struct, frozen=True):
    """`last` is what was seen last, `result` the answer and `at` when it was seen first."""

    asked: float
    is_asked: bool
    last: Said | None
    result: str = ""
    at: float = 0.0


class Handshakes(Struct, frozen=True):
    """A value: each step gives the next one."""

    entries: Mapping[Probe, _Entry] = {}

    def heard(self, says: Says, *, now: float) -> "Handshakes":
        """With what members say now."""
        found = {probe: _heard(one, says(probe), now=now) for probe, one in self.entries.items()}
        return Handshakes({probe: one for probe, one in found.items() if one.is_asked or _is_good(one, now)})

    def asking(self, probes: Collection[Probe], says: Says, *, now: float) -> "Handshakes":
        """When these are asked for, and no others."""
        wanted = frozenset(probes)
        found = {
            probe: replace(one, is_asked=False)
            for probe, one in self.entries.items()
            if probe not in wanted and _is_good(one, now)
        }
        for probe in wanted:
            known = self.entries.get(probe)
            if known is not None and (known.is_asked or _is_good(known, now)):
                found[probe] = replace(known, is_asked=True)
            else:
                found[probe] = _Entry(now, True, says(probe))
        return Handshakes(found)

    @property
    def asked(self) -> frozenset[Probe]:
        """What members are to try now."""
        return frozenset(probe for probe, one in self.entries.items() if one.is_asked)

    def rows(self) -> tuple[ProbeResult, ...]:
        """As a snapshot has them, in order."""
        found = (
            ProbeResult(*_key(probe), one.result, one.at if one.result else one.asked)
            for probe, one in self.entries.items()
        )
        return tuple(sorted(found, key=lambda one: (one.source, one.service, one.via)))


def asked_by(plan: Plan) -> frozenset[Probe]:
    """All that the plan waits for."""
    return frozenset(probe for one in plan.decisions for probe in one.probes)


def _heard(one: _Entry, said: Said | None, *, now: float) -> _Entry:
    if not one.is_asked or said is None or not said[0] or said == one.last:
        return one
    return replace(one, last=said, result=said[0], at=now)


def _is_good(one: _Entry, now: float) -> bool:
    return bool(one.result) and now - one.at <= GOOD_FOR


def _key(probe: Probe) -> tuple[str, str, str]:
    return probe.source, probe.service, probe.via

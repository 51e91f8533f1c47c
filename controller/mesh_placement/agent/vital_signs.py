"""What the agent knows of being seen, by hub, peers and its own API server; it outlives sessions."""

import asyncio
from collections.abc import Callable

from mesh_placement.agent.api_pulse import ApiPulse
from mesh_placement.decide.fencing import Vitals
from mesh_placement.decide.heart import lost_after


class VitalSigns:
    """Times are of the loop's monotonic clock; `on_renewed` is called when the hub is heard after silence."""

    def __init__(self, pulse: ApiPulse) -> None:
        self.confirmed: float | None = None
        self.on_renewed: Callable[[], None] = _nobody
        self._pulse = pulse
        self._began = asyncio.get_running_loop().time()
        self._renewed: float | None = None

    @property
    def as_known(self) -> Vitals:
        """What is decided by."""
        return Vitals(began=self._began, renewed=self._renewed, confirmed=self.confirmed)

    @property
    def api_lost(self) -> bool:
        """Whether the member's own API server does not answer."""
        return bool(self._pulse.lost_since)

    @property
    def is_heard(self) -> bool:
        """Whether the hub has taken a renewal as lately as it takes to call us lost."""
        now = asyncio.get_running_loop().time()
        return self._renewed is not None and now - self._renewed <= lost_after(self._pulse.times)

    def renewed(self, began: float) -> None:
        """The Lease was renewed, by a request that began then."""
        was_heard = self.is_heard
        self._renewed = began
        if not was_heard:
            self.on_renewed()


def _nobody() -> None:
    pass

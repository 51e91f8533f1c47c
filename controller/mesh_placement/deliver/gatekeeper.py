"""Asks the member whether what an object needs is there; what was there a moment ago is believed."""

import asyncio
from collections.abc import Iterable

from mesh_placement.decide.gates import Need, is_met
from mesh_placement.deliver.hands import Hands

_BELIEVED = 10.0  # seconds
_MOST_REMEMBERED = 10_000


class Gatekeeper:
    """Remembers only what is there: what is missing may come at any moment."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._met: dict[tuple[str, Need], float] = {}

    async def first_unmet(self, needs: Iterable[Need], *, user: str) -> Need | None:
        """The first that is not there, or None; raises ApiError and Unreachable."""
        now = asyncio.get_running_loop().time()
        for need in needs:
            if self._met.get((user, need), -_BELIEVED) > now - _BELIEVED:
                continue
            if not is_met(need, await self._hands.witness(need, user=user)):
                return need
            if len(self._met) >= _MOST_REMEMBERED:
                self._met.clear()
            self._met[user, need] = now
        return None

"""At most so many requests a second to a member, so that no app of ours is the death of a control plane."""

import asyncio

from mesh_placement.objects import Budgets


class Pace:
    """Whoever wants to ask takes a turn first; turns come in the order in which they were wanted."""

    def __init__(self, budgets: Budgets) -> None:
        self._rate = float(max(1, budgets.qps))
        self._burst = float(max(1, budgets.burst))
        self._level = self._burst
        self._at = 0.0

    async def turn(self) -> None:
        """Wait until one more request is within the budget."""
        now = asyncio.get_running_loop().time()
        self._level = min(self._burst, self._level + (now - self._at) * self._rate) - 1.0
        self._at = now
        if self._level < 0:
            # The level below zero is the queue: each who waits stands behind those who came before.
            await asyncio.sleep(-self._level / self._rate)

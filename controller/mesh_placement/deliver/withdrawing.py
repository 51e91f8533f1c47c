"""Exports that were taken back in a member, and whether its peers have heard of it.

MeshPeers are looked at while somebody waits, and not otherwise.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from mesh_core.errors import MeshError
from mesh_core.objects import MeshPeer
from mesh_placement.decide.export_withdrawal import LOOK, all_have_heard, may_go_at
from mesh_placement.deliver.pace import Pace
from mesh_runtime.kube import MESH_PEERS, KubeClient


@dataclass(slots=True)
class _Withdrawn:
    """Deleted exports of one unit, by the loop's clock."""

    uids: frozenset[str]
    at: float
    heard: float | None = None


class Withdrawing:
    """`member` may list MeshPeers, or else nobody can say."""

    def __init__(self, member: KubeClient, *, pace: Pace) -> None:
        self._member = member
        self._pace = pace
        self._units: dict[str, _Withdrawn] = {}
        self._peers: Sequence[MeshPeer] | None = None
        self._looked = float("-inf")

    def has(self, unit: str) -> bool:
        """Whether the exports of the unit have been taken back."""
        return unit in self._units

    def begin(self, unit: str, *, uids: frozenset[str]) -> None:
        """They are gone from the member now."""
        self._units[unit] = _Withdrawn(uids, _now())

    def forget(self, unit: str) -> None:
        """Nothing of the unit is left."""
        self._units.pop(unit, None)

    async def rest(self, unit: str) -> float:
        """Seconds until another look is worth it; 0 when what served the exports may go."""
        one = self._units[unit]
        if one.heard is None and all_have_heard(await self._look(), one.uids):
            one.heard = _now()
        left = may_go_at(withdrawn=one.at, heard=one.heard) - _now()
        return max(0.0, left if one.heard is not None else min(left, LOOK))

    async def _look(self) -> Sequence[MeshPeer] | None:
        if _now() >= self._looked + LOOK:
            self._looked = _now()
            await self._pace.turn()
            try:
                self._peers = (await self._member.list(MESH_PEERS)).items
            except MeshError:
                # No mesh, no right, no answer: then it takes as long as it does when nobody can say.
                self._peers = None
        return self._peers


def _now() -> float:
    return asyncio.get_running_loop().time()

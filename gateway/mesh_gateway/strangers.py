"""Connections at a door that have not proved who they are: so many at most, and of nobody too many.

Beyond the bound the source address that has most of them loses the one that has waited longest: who opens
connections without end drives out his own, and those of others only while he has no more than they.
"""

from mesh_gateway.doorway import Doorway
from mesh_gateway.heaviest import Heaviest


class Strangers:
    """At most `most` connections, in the order in which they came."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._hosts: dict[Doorway, str] = {}
        self._groups: Heaviest[str, Doorway] = Heaviest()

    def __len__(self) -> int:
        return len(self._hosts)

    def add(self, door: Doorway) -> Doorway | None:
        """Takes one more; the one that has to go for it, if any, which is no longer among them."""
        crowded_out: Doorway | None = None
        if len(self._hosts) >= self._most:
            crowded_out = self._groups.oldest()
            if crowded_out is not None:
                self.discard(crowded_out)
        host = self._hosts[door] = door.host
        self._groups.add(host, door)
        return crowded_out

    def discard(self, door: Doorway) -> None:
        """Forgets one, which may be known no more: it has shown who it is, or is closed."""
        host = self._hosts.pop(door, None)
        if host is not None:
            self._groups.remove(host, door)

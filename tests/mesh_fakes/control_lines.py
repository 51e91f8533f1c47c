"""Clusters, the ways between them, and the control lines by which a hub hears of them, as time goes by.

The hub keeps what it heard last: a row is fresh for three probe periods, a lease is held until it was missed
three times. What is broken and when is up to whoever drives it.
"""

from dataclasses import dataclass, field

from mesh_placement.schedule.network.reach import is_fresh
from mesh_placement.schedule.network.standing import dead_after, standings
from mesh_placement.schedule.snapshot import Link, Standing

PROBE = 10.0
LEASE = 45.0


@dataclass
class ControlLines:
    """All works at the start. `silent`: the hub does not hear them. `dead`: gateway and API server are gone.
    `mute`: only the gateway is. `known_dead` were found so, and nobody has heard of them since."""

    clusters: tuple[str, ...]
    now: float = 0.0
    silent: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    standing: dict[str, Standing] = field(default_factory=dict)
    known_dead: frozenset[str] = frozenset()
    _heard: dict[str, float] = field(default_factory=dict)
    _rows: dict[tuple[str, str], Link] = field(default_factory=dict)

    def pass_time(self, seconds: float) -> None:
        """Whoever is heard tells its rows and renews its lease; then the hub judges."""
        self.now += seconds
        for source in self.clusters:
            if source in self.silent or source in self.dead:
                continue
            self._heard[source] = self.now
            for target in self.clusters:
                if target != source:
                    self._rows[source, target] = Link(
                        source=source,
                        target=target,
                        state="Up" if self.carries(source, target) else "Down",
                        p50=5.0,
                    )
        self.standing = dict(
            standings(
                {name: self.is_held(name) for name in self.clusters},
                self.links,
                known_dead=self.known_dead,
            )
        )
        self.known_dead = dead_after(self.known_dead, self.standing)

    def carries(self, source: str, target: str) -> bool:
        """Whether calls get through."""
        return not {source, target} & (self.dead | self.mute)

    def is_held(self, name: str) -> bool:
        """Whether the hub holds the lease for renewed."""
        return self.now - self._heard.get(name, 0.0) < LEASE

    def is_heard(self, name: str) -> bool:
        """Whether what it told is fresh."""
        return is_fresh(self._heard.get(name, 0.0), now=self.now, period=PROBE)

    @property
    def links(self) -> tuple[Link, ...]:
        """The rows as the hub has them."""
        return tuple(
            row
            if self.is_heard(source)
            else Link(source=source, target=row.target, state=row.state, is_fresh=False)
            for (source, _), row in sorted(self._rows.items())
        )

"""What the works of the propagation benchmark saw, as values. Pure."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Samples:
    """Seconds until the other cluster showed a change, and until the API server told us of our own write."""

    elsewhere: list[float] = field(default_factory=list)
    here: list[float] = field(default_factory=list)
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Burst:
    """What one burst came to: seconds since its first request, except `cpu` (seconds by program).

    `imported`, and `writes` by kind of request, are by cluster; `missing` things never came.
    """

    created: float
    imported: dict[str, float]
    ready: float
    missing: int
    cpu: dict[str, float]
    writes: dict[str, dict[str, int]]
    load: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process in MiB, now and at its highest."""

    now: float
    peak: float


@dataclass(frozen=True, slots=True)
class FirstPass:
    """Seconds from the start of a controller with nothing imported yet; `missing` imports never came."""

    ready: float
    imported: float
    missing: int
    memory: Memory
    cpu: dict[str, float]


@dataclass(frozen=True, slots=True)
class Restart:
    """A start with everything imported already; `cpu` in seconds, `idle` in percent of a core."""

    ready: float
    memory: Memory
    idle: float
    cpu: float
    load: float

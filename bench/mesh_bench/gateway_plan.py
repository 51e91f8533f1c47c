"""What the gateway's benchmark is asked to do. Pure; crosses into the sandbox as JSON."""

from dataclasses import dataclass

from mesh_bench.programs import Programs


@dataclass(frozen=True, slots=True)
class Plan:
    """`json` is an absolute path, or empty where not asked for."""

    works: tuple[str, ...]
    peers: tuple[str, ...]
    runs: int
    quick: bool
    minutes: float
    json: str
    commit: str
    started: str
    programs: Programs

    @property
    def seconds(self) -> float:
        """How long one measurement lasts."""
        return 1.5 if self.quick else 4.0

    @property
    def long_seconds(self) -> float:
        """How long a measurement lasts that looks for what only time shows."""
        return 10.0 if self.quick else 60.0 * self.minutes

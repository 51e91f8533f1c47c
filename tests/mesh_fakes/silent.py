"""A progress display that shows nothing and remembers what it was told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mesh_runtime.progress import Step


@dataclass(slots=True)
class SilentProgress:
    """`began` lists every step's name, `details` what all steps said, in order."""

    began: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        self.began.append(what)
        yield self

    def update(self, detail: str) -> None:
        self.details.append(detail)

"""Files of a process that ends in the middle of its work."""

from dataclasses import dataclass
from pathlib import Path

from mesh_runtime.secret_file import Files


class Killed(BaseException):
    """The process has ended."""


@dataclass
class MortalFiles(Files):
    """Ends the process after so many operations; with `torn`, in the middle of a write."""

    left: int
    torn: bool = False

    def create(self, path: Path, *, content: bytes, mode: int) -> None:
        if self.left <= 1 and self.torn:
            super().create(path, content=content[: len(content) // 2], mode=mode)
            raise Killed
        super().create(path, content=content, mode=mode)
        self._spend()

    def rename(self, path: Path, *, to: Path) -> None:
        super().rename(path, to=to)
        self._spend()

    def remove(self, path: Path) -> None:
        super().remove(path)
        self._spend()

    def _spend(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Killed

"""A client of an API server that notes what is written, and is dead after so many writes.

The last write reaches the server; its answer reaches nobody, as when the process is killed then.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh_runtime.kube import KubeClient
from mesh_runtime.kube.client import Body


class Died(BaseException):
    """The process was killed: nobody in it can catch that."""


@dataclass(slots=True)
class Life:
    """How many writes there may be, for one client or for several; `written`, `asked`: (method, path)."""

    writes: int = 1_000_000
    written: list[tuple[str, str]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return len(self.written) >= self.writes


class MortalClient(KubeClient):
    """Made by `mortal`."""

    _life: Life

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Body | None = None,
        content_type: str = "application/json",
        limit: float = 10.0,
    ) -> bytes:
        if self._life.is_over:
            raise Died
        self._life.asked.append((method, path))
        is_write = method != "GET" and "dryRun" not in (params or {})
        if is_write:
            self._life.written.append((method, path))
        answer = await super().request(
            method, path, params=params, body=body, content_type=content_type, limit=limit
        )
        if is_write and self._life.is_over:
            raise Died
        return answer


def mortal(client: KubeClient, *, life: Life) -> KubeClient:
    """`client`, with that life; whoever it acts as shares it."""
    other = copy.copy(client)
    other.__class__ = MortalClient
    assert isinstance(other, MortalClient)
    other._life = life
    return other

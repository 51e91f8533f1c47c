"""A process that is killed before its n-th write, to whichever API server: then nothing of it goes on.

Killed after a write whose answer it has not heard is, to all others, the same as before the next one.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh_fakes.cut_off import Cut, CutClient
from mesh_runtime.kube import KubeClient
from mesh_runtime.kube.client import Body


@dataclass(slots=True)
class End:
    """`at` counts writes from 0, None: it is not killed; `written` are those that it made, (method, path)."""

    at: int | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    written: list[tuple[str, str]] = field(default_factory=list)


class EndingClient(CutClient):
    """A client of that process; whoever waits for it when it is killed waits for ever."""

    def __init__(self, inner: KubeClient, *, end: End) -> None:
        super().__init__(inner, cut=Cut())
        self._end = end

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
        end = self._end
        if method != "GET" and len(end.written) == end.at:
            end.over.set()
        if end.over.is_set():
            await asyncio.Future()
        if method != "GET":
            end.written.append((method, path))
        return await super().request(
            method, path, params=params, body=body, content_type=content_type, limit=limit
        )

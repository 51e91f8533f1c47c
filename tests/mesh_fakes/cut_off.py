"""A client that is cut off at its n-th write: before the API server has it, or when the answer is lost."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from mesh_core.objects import Meta
from mesh_fakes.sessionless import SessionlessClient
from mesh_runtime.kube import KubeClient, Resource, Unreachable
from mesh_runtime.kube.client import Body


@dataclass(slots=True)
class Cut:
    """Which write of all clients that share it fails; counted from 0, None: none of them."""

    at: int | None = None
    loses_answer: bool = False
    writes: int = field(default=0)

    def next(self) -> bool:
        """Count one write; True when it is the one."""
        self.writes += 1
        return self.at is not None and self.writes - 1 == self.at


class CutClient(SessionlessClient):
    """`inner`, cut off where `cut` says."""

    def __init__(self, inner: KubeClient, *, cut: Cut) -> None:
        super().__init__("cut")
        self._inner = inner
        self._cut = cut

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
        falls = method != "GET" and self._cut.next()
        if falls and not self._cut.loses_answer:
            raise Unreachable(server="cut", why="cut off before a write")
        answer = await self._inner.request(
            method, path, params=params, body=body, content_type=content_type, limit=limit
        )
        if falls:
            raise Unreachable(server="cut", why="cut off after a write")
        return answer

    async def find_metadata(self, resource: Resource[Any], name: str, *, namespace: str = "") -> Meta | None:
        return await self._inner.find_metadata(resource, name, namespace=namespace)

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str], silence_limit: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        async with self._inner.stream(path, params=params, silence_limit=silence_limit) as content:
            yield content

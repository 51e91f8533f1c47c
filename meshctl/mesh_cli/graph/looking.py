"""Asks clusters for what a picture shows, as often as somebody wants one, over connections that are kept.

A kubeconfig may name a program that makes a token. It runs when a connection is made, and again after a
cluster did not answer, so that a token that has ended is replaced; not at each look. Reads only; a cluster
that does not answer hides no other.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from mesh_cli.gateways.survey import ClusterGateways, GatewaySurvey
from mesh_cli.gateways.surveying import see_gateways
from mesh_cli.graph.drawing import draw
from mesh_cli.graph.picture import Picture
from mesh_cli.status.survey import MemberSeen, NotSeen, Survey
from mesh_cli.status.surveying import see_member
from mesh_core.errors import MeshError, causes
from mesh_runtime.clock import Clock
from mesh_runtime.kube import KubeClient, connect

T = TypeVar("T")
Look = Callable[[], Awaitable[Picture]]

_LIMIT: Final = 15.0
"""Seconds that all questions to one cluster may take together."""


@asynccontextmanager
async def looking(contexts: Sequence[str], *, kubeconfig: Path | None, clock: Clock) -> AsyncIterator[Look]:
    """A function that asks all `contexts` side by side; raises nothing that is a cluster's fault."""
    lines = [_Line(context, kubeconfig) for context in dict.fromkeys(contexts)]

    async def look() -> Picture:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(line.ask()) for line in lines]
        found = [task.result() for task in asked]
        at = clock().replace(microsecond=0).isoformat().replace("+00:00", "Z")
        survey = Survey(at=at, clusters=tuple(member for member, _ in found))
        return draw(survey, GatewaySurvey(tuple(gateways for _, gateways in found)))

    try:
        yield look
    finally:
        for line in lines:
            await line.close()


class _Line:
    """The connection to one cluster; there is none before the first question, and after a failure."""

    def __init__(self, context: str, kubeconfig: Path | None) -> None:
        self._context = context
        self._kubeconfig = kubeconfig
        self._stack = AsyncExitStack()
        self._client: KubeClient | None = None

    async def ask(self) -> tuple[MemberSeen | NotSeen, ClusterGateways | NotSeen]:
        try:
            if self._client is None:
                way = connect(kubeconfig=self._kubeconfig, context=self._context)
                self._client = await self._stack.enter_async_context(way)
        except MeshError as error:
            silent = NotSeen(context=self._context, error=str(error))
            return silent, silent
        async with asyncio.TaskGroup() as group:
            member = group.create_task(self._told(see_member(self._client, context=self._context)))
            gateways = group.create_task(self._told(see_gateways(self._client, context=self._context)))
        if isinstance(member.result(), NotSeen):
            await self.close()
        return member.result(), gateways.result()

    async def close(self) -> None:
        self._client = None
        await self._stack.aclose()

    async def _told(self, answer: Awaitable[T]) -> T | NotSeen:
        try:
            async with asyncio.timeout(_LIMIT):
                return await answer
        except MeshError as error:
            return NotSeen(context=self._context, error=str(error))
        except ExceptionGroup as group:
            # Who asks for several things at once raises a group; what is no fault of a cluster's goes on up.
            ours, others = group.split(MeshError)
            if others is not None or ours is None:
                raise
            return NotSeen(context=self._context, error=str(causes(ours)[0]))
        except TimeoutError:
            return NotSeen(context=self._context, error=f"it did not answer all within {_LIMIT:.0f} s")

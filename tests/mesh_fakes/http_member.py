"""A member's API server behind real HTTP, and the faults that a real one cannot be asked for.

Not kmock, which tests of single collections use: its reading of Kubernetes paths fails on a list of all
namespaces (0.8), and our loops watch those.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from mesh_fakes.api_server import _Target, _target
from mesh_fakes.member_api import MemberApi
from mesh_runtime.kube import ApiError, KubeClient


@dataclass(slots=True)
class Fault:
    """What happens to the next `times` requests of `method` to `plural`, instead of an answer."""

    method: str
    plural: str
    status: int = 0
    reason: str = ""
    retry_after: str = ""
    delay: float = 0.0
    times: int = 1


@dataclass(slots=True)
class HttpMember:
    """`api` over HTTP; `faults` are worked off in order, `asked` are the requests that came."""

    api: MemberApi
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(method, plural); watches as WATCH."""

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        target = _target(request.path)
        plural = target.collection.rpartition("/")[2]
        method = "WATCH" if "watch" in request.query else request.method
        self.asked.append((method, plural))
        fault = self._fault(method, plural)
        if fault is not None:
            await asyncio.sleep(fault.delay)
            if fault.status:
                return _refusal(fault.status, fault.reason, retry_after=fault.retry_after)
        if method == "WATCH":
            return await self._watch(request, target)
        body = await request.json() if request.can_read_body else None
        return self._answer(method, target, params=request.query, body=body)

    async def _watch(self, request: web.Request, target: _Target) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for line in self.api.follow(target, params=request.query):
            await response.write(line)
        return response

    def _answer(self, method: str, target: _Target, *, params: Mapping[str, str], body: Any) -> web.Response:
        """`body` is whatever JSON the request carried, hence Any."""
        try:
            return web.json_response(self.api.answer("us", method, target, params=params, body=body))
        except ApiError as error:
            return _refusal(error.status, error.reason)

    def _fault(self, method: str, plural: str) -> Fault | None:
        for fault in self.faults:
            if (fault.method, fault.plural) == (method, plural):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None


@asynccontextmanager
async def http_client(member: HttpMember) -> AsyncIterator[KubeClient]:
    """A client of the member over HTTP."""

    async def nobody() -> dict[str, str]:
        return {}

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", member.respond)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession() as session:
            yield KubeClient(session, server=f"http://127.0.0.1:{port}", authorization=nobody)
    finally:
        member.api.stop()
        await runner.cleanup()


def _refusal(status: int, reason: str, *, retry_after: str = "") -> web.Response:
    headers = {"Retry-After": retry_after} if retry_after else None
    body = {"kind": "Status", "code": status, "reason": reason, "message": reason.lower()}
    return web.json_response(body, status=status, headers=headers)

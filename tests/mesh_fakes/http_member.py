"""A member's API server behind real HTTP (kmock), and the faults that a real one cannot be asked for."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import kmock
from kmock import Response  # type: ignore[attr-defined]  # public, left out of __all__ in kmock 0.8

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

    async def respond(self, request: kmock.Request) -> Response:
        """One request."""
        target = _target(str(request.url.path))
        plural = target.collection.rpartition("/")[2]
        params = {name: str(value) for name, value in (request.params or {}).items()}
        method = "WATCH" if "watch" in params else request.method.value
        self.asked.append((method, plural))
        fault = self._fault(method, plural)
        if fault is not None:
            await asyncio.sleep(fault.delay)
            if fault.status:
                return _refusal(fault.status, fault.reason, retry_after=fault.retry_after)
        if method == "WATCH":
            return Response(status=200, headers=None, payload=self.api.follow(target, params=params))
        return self._answer(method, target, params=params, body=request.data)

    def _answer(self, method: str, target: _Target, *, params: Mapping[str, str], body: Any) -> Response:
        """`body` is whatever JSON the request carried, hence Any."""
        if isinstance(body, bytes | str):
            body = json.loads(body or "{}")
        try:
            found = self.api.answer("us", method, target, params=params, body=body)
        except ApiError as error:
            return _refusal(error.status, error.reason)
        return Response(status=200, headers=None, payload=found)

    def _fault(self, method: str, plural: str) -> Fault | None:
        for fault in self.faults:
            if (fault.method, fault.plural) == (method, plural):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None


@asynccontextmanager
async def http_client(server: kmock.RawHandler, member: HttpMember) -> AsyncIterator[KubeClient]:
    """A client of the member over HTTP."""
    server[re.compile(r"/.*")] << member.respond

    async def nobody() -> dict[str, str]:
        return {}

    async with aiohttp.ClientSession() as session:
        try:
            yield KubeClient(session, server=str(server.url).rstrip("/"), authorization=nobody)
        finally:
            member.api.stop()


def _refusal(status: int, reason: str, *, retry_after: str = "") -> Response:
    headers = {"Retry-After": retry_after} if retry_after else None
    body = {"kind": "Status", "code": status, "reason": reason, "message": reason.lower()}
    return Response(status=status, headers=headers, payload=body)

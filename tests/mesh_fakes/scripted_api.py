"""An API server that answers one collection from a script: for faults that a real one cannot be asked for.

Every request to the collection takes the next `Answer` of the script; the last one stays. The real HTTP
is kmock's; this only keeps the order and remembers what was asked.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import kmock
from kmock import Response  # type: ignore[attr-defined]  # public, left out of __all__ in kmock 0.8

from mesh_runtime.kube import KubeClient


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; a tuple of events is a watch that ends after them."""

    body: dict[str, Any] | tuple[dict[str, Any], ...]
    status: int = 200
    retry_after: str = ""
    hold: bool = False  # keep the watch open after its events

    def respond(self) -> Response:
        """The answer as kmock gives it."""
        headers = {"Retry-After": self.retry_after} if self.retry_after else None
        body: Any = self.body  # kmock's payloads are whatever renders
        if isinstance(body, tuple):
            body = (*body, ...) if self.hold else (*body, b"")
        return Response(status=self.status, headers=headers, payload=body)


@dataclass(slots=True)
class Script:
    """The answers still to give, and the query of each request that came."""

    answers: list[Answer]
    asked: list[dict[str, str]]

    def respond(self, request: kmock.Request) -> Response:
        self.asked.append({name: str(value) for name, value in (request.params or {}).items()})
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        return answer.respond()


def config_map(name: str, *, version: int, **data: str) -> dict[str, Any]:
    """A ConfigMap in the namespace `default` as the API server would send it."""
    meta = {"name": name, "namespace": "default", "resourceVersion": str(version), "uid": f"u-{name}"}
    return {"metadata": meta, "data": data}


def page(*items: dict[str, Any], version: int, more: str = "") -> Answer:
    """One page of a list."""
    return Answer({"metadata": {"resourceVersion": str(version), "continue": more}, "items": list(items)})


def watch(*events: tuple[str, dict[str, Any]], hold: bool = False) -> Answer:
    """A watch with these (type, object) events."""
    return Answer(tuple({"type": kind, "object": item} for kind, item in events), hold=hold)


def refusal(status: int, reason: str, *, retry_after: str = "") -> Answer:
    """A metav1.Status."""
    body = {"kind": "Status", "code": status, "reason": reason, "message": reason.lower()}
    return Answer(body, status=status, retry_after=retry_after)


def serve(server: kmock.RawHandler, path: str, answers: Sequence[Answer]) -> Script:
    """Answer GETs of `path` from `answers`."""
    script = Script(list(answers), [])
    server[f"get {path}"] << script.respond
    return script


@asynccontextmanager
async def client_of(server: kmock.RawHandler, *, path: str = "") -> AsyncIterator[KubeClient]:
    """A client of the fake, without credentials; of the API server below `path` when one is given.

    kmock 0.8 fails on the collection `/api/v1/namespaces`; below another path it lets it pass.
    """

    async def no_authorization() -> dict[str, str]:
        return {}

    async with aiohttp.ClientSession() as session:
        yield KubeClient(session, server=str(server.url).rstrip("/") + path, authorization=no_authorization)

"""A hub for the access proxy: an API server in memory that reviews tokens and rights, and counts what it is
asked."""

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mesh_fakes.api_server import FakeApiServer, Item
from mesh_fakes.far_api_server import FarApiServer
from mesh_fakes.waiting import until
from mesh_placement.access.access import AccessSettings, bound_socket, run_access
from mesh_placement.names import (
    ACCESS_API_SERVICE,
    ACCESS_SERVING_SECRET,
)
from mesh_placement.resources import API_SERVICES, CLUSTER_REGISTRATIONS
from mesh_placement.way.dial import Tunnel
from mesh_runtime.kube import SECRETS, KubeClient
from mesh_runtime.kube.client import Body

CLUSTER = "east-1"
TOKEN = "a-token-of-ada"
MEMBER_TOKEN = "the-hubs-token-in-the-member"


@dataclass(slots=True)
class AccessHub(FakeApiServer):
    """`people` are users by token; all but `barred` may come through. `asked` counts requests by word."""

    people: dict[str, str] = field(default_factory=lambda: {TOKEN: "ada"})
    barred: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)
    """Those that a right was asked for."""

    # The base's target is a private class of its module, hence Any.
    def answer(
        self, username: str, method: str, target: Any, *, params: Mapping[str, str], body: Body | None
    ) -> Item:
        kind = target.collection.rpartition("/")[2]
        self.asked.append(f"{method} {kind}")
        if kind == "tokenreviews" and body is not None:
            user = self.people.get(body["spec"]["token"])
            return {
                "status": {"authenticated": bool(user), "user": {"username": user or "", "groups": ["dev"]}}
            }
        if kind == "subjectaccessreviews" and body is not None:
            self.verbs.append(body["spec"]["resourceAttributes"]["verb"])
            return {"status": {"allowed": body["spec"]["user"] not in self.barred}}
        return FakeApiServer.answer(self, username, method, target, params=params, body=body)


@dataclass(frozen=True, slots=True)
class RunningProxy:
    """The proxy of `hub`, on the loopback."""

    hub: AccessHub
    port: int
    ca: str

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A caller's connection."""
        context = ssl.create_default_context(cadata=self.ca)
        context.check_hostname = False
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context)

    async def ask(
        self, *lines: str, body: bytes = b"", token: str = TOKEN
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, fields in lower case, body to the end."""
        reader, writer = await self.dial()
        try:
            writer.write(request(*lines, "Connection: close", token=token) + body)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            said = await reader.read()
        finally:
            writer.transport.abort()
        first, *fields = head[:-4].split("\r\n")
        named = (field.partition(": ") for field in fields)
        return int(first.split()[1]), {name.lower(): value for name, _, value in named}, said


def request(first: str, *fields: str, token: str = TOKEN) -> bytes:
    """A head: "GET /path", with Host and token."""
    lines = (f"{first} HTTP/1.1", "Host: proxy", f"Authorization: Bearer {token}", *fields)
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


@asynccontextmanager
async def running_proxy(
    far: FarApiServer, *, server: str | None = None, tunnel: Tunnel | None = None
) -> AsyncIterator[RunningProxy]:
    """The proxy beside a hub that knows `far` as a member, Available and letting the hub in."""
    hub = AccessHub()
    kube = hub.client()
    await fill(kube, far, server=f"https://127.0.0.1:{far.port}" if server is None else server)
    bound = bound_socket("127.0.0.1", 0)
    task = asyncio.ensure_future(
        run_access(kube, settings=AccessSettings(health_port=0), bound=bound, tunnel=tunnel)
    )
    try:
        await until(lambda: _listens(bound) or task.done())
        if task.done():
            task.result()
        yield RunningProxy(hub, bound.getsockname()[1], base64.b64decode(_ca_bundle(hub)).decode())
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def fill(kube: KubeClient, far: FarApiServer, *, server: str) -> None:
    """What the hub has of `far`, Available and letting the hub in, and of the proxy itself."""
    values = {
        "token": MEMBER_TOKEN,
        "ca.crt": far.ca,
        "server": server,
        "expires": datetime(2100, 1, 1, tzinfo=UTC).isoformat(),
    }
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    meta = {"name": "access", "namespace": f"cluster-{CLUSTER}"}
    await kube.create(SECRETS, {"metadata": meta, "data": data})
    registration = {
        "metadata": {"name": CLUSTER},
        "spec": {"clusterSet": "prod"},
        "status": {"conditions": [{"type": "Available", "status": "True"}]},
    }
    await kube.create(CLUSTER_REGISTRATIONS, registration)
    await kube.create(SECRETS, {"metadata": {"name": ACCESS_SERVING_SECRET, "namespace": "meshctl-system"}})
    await kube.create(API_SERVICES, {"metadata": {"name": ACCESS_API_SERVICE}, "spec": {}})


def _listens(bound: socket.socket) -> bool:
    return bool(bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _ca_bundle(hub: AccessHub) -> str:
    for (collection, _, _), item in hub._objects.items():
        if collection.endswith("/apiservices"):
            return str(item["spec"].get("caBundle", ""))
    return ""

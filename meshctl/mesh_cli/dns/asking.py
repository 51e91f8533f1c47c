"""Asks DNS servers inside a cluster, through its API server: a person needs no way to any of them.

A pod is asked at its own port, over TCP, by port-forward: nothing on the cluster's network comes between. A
Service is asked from inside a mesh-dns pod, by exec, over UDP: that is the way that pods go. Every question
has a limit; who does not answer is `Unseen`, with the reason.
"""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Sequence
from typing import Any, Final, TypeVar

from mesh_cli.check.verdict import Unseen
from mesh_cli.dns import from_pod
from mesh_cli.dns.reply import (
    AGE,
    STATE,
    Query,
    Reply,
    Unreadable,
    age_of,
    found_addresses,
    reply_of,
    self_packet,
    text_in,
)
from mesh_cli.dns.way import NotAllowed, PodView, Self
from mesh_cli.table import one_line
from mesh_core.errors import MeshError
from mesh_runtime.kube import ApiError, Inside, KubeClient, PodPort, PodRefused, pod_port, run_in_pod

T = TypeVar("T")

_LIMIT: Final = 6.0
"""Seconds for one who is asked, the connection to it included."""

_FORBIDDEN: Final = 403

# Musl and busybox have getent without ahostsv4 in places, so both are tried; "$1" and "$2" are name and type.
_LOOK_UP: Final = """
cat /etc/resolv.conf; echo ===
case $2 in A) f=ahostsv4;; *) f=ahostsv6;; esac
if command -v getent >/dev/null && getent $f localhost >/dev/null 2>&1
then getent $f "$1" | sed 's/[ \t].*//'
elif command -v nslookup >/dev/null
then nslookup -type=$2 "$1" | sed -n '/^Name:/,$s/^Address[ 0-9]*: *\\([^ ]*\\).*/\\1/p'
else echo no-tool; fi; true
"""


async def within(work: Awaitable[T], *, limit: float = _LIMIT) -> T | Unseen:
    """What `work` gives, or why it does not."""
    try:
        async with asyncio.timeout(limit):
            return await work
    except TimeoutError:
        return Unseen(f"no answer within {limit:g} s")
    except MeshError as error:
        why = one_line(error.what)
        return NotAllowed(why) if isinstance(error, ApiError) and error.status == _FORBIDDEN else Unseen(why)
    except Unreadable as error:
        return Unseen(f"what it answers cannot be read: {error}")


async def ask_pod(client: KubeClient, query: Query, *, inside: Inside, port: int) -> Reply:
    """What the server in a pod says."""
    async with pod_port(client, inside=inside, port=port) as stream:
        return await _answer(stream, query)


async def ask_mesh_pod(client: KubeClient, query: Query, *, inside: Inside, port: int) -> tuple[Reply, Self]:
    """What a mesh-dns pod says, and what it says of itself; with several workers, what one of them says."""
    async with pod_port(client, inside=inside, port=port) as stream:
        reply = await _answer(stream, query)
        age = text_in(await _exchange(stream, self_packet(AGE)))
        state = text_in(await _exchange(stream, self_packet(STATE)))
        return reply, Self(age_of(age), state)


async def ask_from(
    client: KubeClient, query: Query, *, inside: Inside, servers: Sequence[str]
) -> list[Reply | Unseen]:
    """What the servers at these addresses, port 53, say to the pod `inside`, in their order."""
    wish = {"packet": query.packet().hex(), "servers": [[address, 53] for address in servers]}
    command = ("python", "-c", inspect.getsource(from_pod), json.dumps(wish))
    ran = await run_in_pod(client, command, inside=inside)
    if ran.failure:
        raise PodRefused(str(inside), why=one_line(ran.failure))
    try:
        told: list[dict[str, Any]] = json.loads(ran.output)  # Any: JSON, taken apart at once
        return [_told(bytes.fromhex(one["reply"]), why=str(one["why"]), query=query) for one in told]
    except (ValueError, TypeError, LookupError, RecursionError) as error:  # the last: [[[[...
        raise Unreadable(one_line(str(error))) from error


async def look_up(client: KubeClient, query: Query, *, inside: Inside) -> tuple[Reply, PodView]:
    """What a pod's own tools find, and whom its resolv.conf names."""
    command = ("sh", "-c", _LOOK_UP, "sh", query.name, query.type)
    ran = await run_in_pod(client, command, inside=inside)
    if ran.failure:
        raise PodRefused(str(inside), why=one_line(ran.failure))
    config, _, found = ran.output.decode(errors="replace").partition("===\n")
    if found.strip() == "no-tool":
        raise PodRefused(str(inside), why="it has neither getent nor nslookup")
    words = [line.split() for line in config.splitlines()]
    servers = tuple(one_line(line[1]) for line in words if len(line) > 1 and line[0] == "nameserver")
    return found_addresses(found, query=query), PodView(servers)


async def _answer(stream: PodPort, query: Query) -> Reply:
    return reply_of(await _exchange(stream, query.packet()), query=query)


async def _exchange(stream: PodPort, packet: bytes) -> bytes:
    await stream.send(len(packet).to_bytes(2) + packet)
    return await stream.read_exactly(int.from_bytes(await stream.read_exactly(2)))


def _told(raw: bytes, *, why: str, query: Query) -> Reply | Unseen:
    if why:
        return Unseen(one_line(why))
    try:
        return reply_of(raw, query=query)
    except Unreadable as error:
        return Unseen(f"what it answers cannot be read: {error}")

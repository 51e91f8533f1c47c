"""Into a pod through the API server: run a command there, or speak to one of its ports (kubectl's exec, port-
forward).

Over a WebSocket with the subprotocol `v4.channel.k8s.io`, which API servers and kubelets have always served:
each message is one byte, the number of a channel, and what was said there.

1. The caller sets the limit of time. What a pod says is bounded: `MOST_BYTES`.
2. A refusal of the API server is an `ApiError`, a connection that breaks `Unreachable`; what the pod, or its
   kubelet, does not do is `PodRefused`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mesh_core.errors import EnvironmentFault
from mesh_runtime.kube.client import KubeClient

if TYPE_CHECKING:
    import aiohttp
else:
    from mesh_runtime.kube import late_aiohttp as aiohttp

MOST_BYTES = 1 << 20
"""What a command may say on each of its channels, and a port in one message."""

_PROTOCOL = "v4.channel.k8s.io"
_OUTPUT, _COMPLAINT, _STATUS = 1, 2, 3
_DATA, _ERROR = 0, 1


class PodRefused(EnvironmentFault):
    """The pod, or the kubelet before it, did not do what was asked."""

    def __init__(self, pod: str, *, why: str) -> None:
        super().__init__(f"pod {pod} did not do it: {why}", next_step="look at the pod with kubectl describe")


@dataclass(frozen=True, slots=True)
class Inside:
    """A container of a pod; "" is its first one."""

    namespace: str
    pod: str
    container: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command said; `failure` is "" when it ended with status 0, else the kubelet's words for why."""

    output: bytes
    complaint: bytes
    failure: str


class _Status(msgspec.Struct):
    """metav1.Status, with which a command's last channel ends."""

    status: str = ""
    message: str = ""


async def run_in_pod(client: KubeClient, command: Sequence[str], *, inside: Inside) -> Ran:
    """Run `command` without input and wait for its end; raises ApiError, Unreachable, PodRefused."""
    params = [("stdout", "true"), ("stderr", "true"), *(("command", word) for word in command)]
    params += [("container", inside.container)] if inside.container else []
    said = {_OUTPUT: bytearray(), _COMPLAINT: bytearray(), _STATUS: bytearray()}
    async with _socket(client, inside, verb="exec", params=params) as socket:
        async for channel, data in _messages(socket):
            if channel not in said:
                continue
            said[channel] += data
            if len(said[channel]) > MOST_BYTES:
                raise PodRefused(str(inside), why=f"it says more than {MOST_BYTES >> 20} MiB")
            if channel == _STATUS:
                break
    if not said[_STATUS]:
        raise PodRefused(str(inside), why="the connection ended before the command did")
    return Ran(bytes(said[_OUTPUT]), bytes(said[_COMPLAINT]), _failure(bytes(said[_STATUS])))


class PodPort:
    """A TCP connection to a port of a pod, from inside that pod. Made by `pod_port`."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse", *, inside: Inside) -> None:
        self._socket = socket
        self._inside = inside
        self._greeted: set[int] = set()
        self._buffer = bytearray()

    async def send(self, data: bytes) -> None:
        """Send; may wait."""
        try:
            await self._socket.send_bytes(bytes((_DATA,)) + data)
        except (aiohttp.ClientError, OSError) as error:
            raise PodRefused(str(self._inside), why="the connection ended") from error

    async def read_exactly(self, count: int) -> bytes:
        """The next `count` bytes; raises PodRefused when the connection ends or fails before."""
        async for data in self._data(until=count):
            self._buffer += data
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    async def _data(self, *, until: int) -> AsyncIterator[bytes]:
        while len(self._buffer) < until:
            async for channel, data in _messages(self._socket):
                # The first message of each channel only repeats the port's number.
                if channel not in self._greeted:
                    self._greeted.add(channel)
                elif channel == _ERROR:
                    raise PodRefused(str(self._inside), why=data.decode(errors="replace"))
                else:
                    yield data
                    break
            else:
                raise PodRefused(str(self._inside), why="the connection ended")


@asynccontextmanager
async def pod_port(client: KubeClient, *, inside: Inside, port: int) -> AsyncIterator[PodPort]:
    """A connection to TCP port `port`; raises ApiError, Unreachable."""
    async with _socket(client, inside, verb="portforward", params=[("ports", str(port))]) as socket:
        yield PodPort(socket, inside=inside)


@asynccontextmanager
async def _socket(
    client: KubeClient, inside: Inside, *, verb: str, params: Sequence[tuple[str, str]]
) -> AsyncIterator["aiohttp.ClientWebSocketResponse"]:
    path = f"/api/v1/namespaces/{inside.namespace}/pods/{inside.pod}/{verb}"
    async with client.web_socket(path, params=params, protocol=_PROTOCOL, most=MOST_BYTES) as socket:
        yield socket


async def _messages(socket: "aiohttp.ClientWebSocketResponse") -> AsyncIterator[tuple[int, bytes]]:
    """(channel, bytes) until the other end closes."""
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY and message.data:
            yield message.data[0], message.data[1:]


def _failure(raw: bytes) -> str:
    try:
        status = msgspec.json.decode(raw, type=_Status)
    except msgspec.DecodeError:
        return raw.decode(errors="replace")
    return "" if status.status == "Success" else status.message or "it failed"

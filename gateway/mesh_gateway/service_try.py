"""One try whether a service of a peer answers: a stream by the way of traffic, on which nothing is said.

1. The way is traffic's (`egress`): pods of a neighbour where slices list them, else an open tunnel, one after
   the other while their gateways refuse for themselves, else a connection of its own.
2. The peer accepts a stream in a tunnel when an endpoint has taken it. On a connection of its own it says
   nothing of the kind, so an answer of any sort must come back, and without one nothing is known.
3. It speaks for no pod. What depends on the pod that calls is said to be good for a part.
4. It takes no place of a stream, is counted nowhere and tells nothing to those who watch the ways.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from mesh_core.identity import ClusterId
from mesh_core.objects import EndpointSlice, ServiceImport
from mesh_core.service_probe import Found
from mesh_gateway.egress import Ways
from mesh_gateway.errors import ClusterSilent, StreamRefused
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opener import StreamOpener, Target
from mesh_gateway.opening import PROBES, Answer, BadMessage, Opening, Reason, read_answer, write_message
from mesh_gateway.probe_knock import Answer as Knocked
from mesh_gateway.probe_knock import Knock
from mesh_gateway.probe_targets import AT_A_TIME, in_turn, listed_pods
from mesh_gateway.route import Address, RouteTable, ServicePort
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.yamux import ProtocolError

LIMIT: Final = 9.0
"""Seconds for one try: so long a peer takes that tries three endpoints in vain."""
_EVIDENCE: Final = 3.0
"""Seconds in which a connection of its own must bring an answer."""
_CLOSING: Final = 1.0
"""Seconds that an accepted stream may take to end by itself."""

# Of these the gateway speaks for itself, and another one of the cluster is asked.
_OF_ONE_GATEWAY: Final = frozenset({Reason.STOPPING.value, Reason.OVERLOAD.value})
_TAKEN: Final = frozenset({Knocked.OPEN, Knocked.SHUT})
_REFUSALS: Final = {
    Reason.NOT_EXPORTED.value: Found.NOT_EXPORTED,
    Reason.NOT_ALLOWED.value: Found.NOT_ALLOWED,
    Reason.SOURCE_UNKNOWN.value: Found.OK_IN_PART,
    Reason.NO_ENDPOINT.value: Found.NO_ENDPOINT,
    Reason.ENDPOINT_FAILED.value: Found.ENDPOINT_FAILED,
    Reason.EXTERNAL_ADDRESS.value: Found.EXTERNAL_ADDRESS,
    Reason.OVERLOAD.value: Found.OVERLOAD,
    Reason.STOPPING.value: Found.STOPPING,
    Reason.UNSUPPORTED.value: Found.UNSUPPORTED,
}


class Services(Protocol):
    """What the caches say of services (`watch.Watches`)."""

    def imported(self, namespace: str, *, name: str) -> ServiceImport | None:
        """The ServiceImport."""

    def slices_of(self, namespace: str, *, name: str) -> Sequence[EndpointSlice]:
        """Slices of our controller for the service."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a try came to, and a sentence about it."""

    found: Found
    why: str = ""


class ServiceTrier:
    """Of the gateway at the address `own`. `table` gives the table of the moment, None before the first."""

    def __init__(
        self,
        own: str,
        *,
        table: Callable[[], RouteTable | None],
        tunnels: Ways,
        opener: StreamOpener,
        services: Services,
        knock: Knock,
    ) -> None:
        self._own = own
        self._table = table
        self._tunnels = tunnels
        self._opener = opener
        self._services = services
        self._knock = knock

    async def outcome(self, service: str, *, cluster: str) -> Outcome | None:
        """What comes of a stream to the service ("namespace/name") of `cluster`; None without routes.

        It takes `LIMIT` seconds at most.
        """
        table = self._table()
        if table is None:
            return None
        peer = next((one for one in table.gateways if one == cluster), None)
        if peer is None:
            return Outcome(Found.NO_PEER, f"there is no MeshPeer {cluster} with a way there")
        try:
            async with asyncio.timeout(LIMIT):
                return await self._tried(service, peer=peer, table=table)
        except TimeoutError:
            return Outcome(Found.TIMEOUT, f"cluster {cluster} gave no answer in {LIMIT:g} s")

    async def _tried(self, service: str, *, peer: ClusterId, table: RouteTable) -> Outcome:
        namespace, _, name = service.partition("/")
        pods = listed_pods(self._services.slices_of(namespace, name=name), cluster=peer, own=self._own)
        if pods is not None:
            return await self._by_pods(in_turn(pods, turn=random.randrange(len(pods) or 1)))
        port = _port(self._services.imported(namespace, name=name))
        if port is None:
            return Outcome(Found.UNSUPPORTED, f"{service} has no TCP port that could be tried")
        target = ServicePort(namespace, name, port)
        last = await self._by_tunnels(target, peer=peer)
        if last is not None and last.found.value not in _OF_ONE_GATEWAY:
            return last
        gateways = table.gateways.get(peer, ())
        if last is not None and not (gateways and port):
            return last
        if not gateways:
            why = f"no tunnel of cluster {peer} is open, and it is never dialled"
            return Outcome(Found.UNREACHABLE, why)
        if not port:
            why = f"no tunnel to cluster {peer} is open, and without an import no port is known"
            return Outcome(Found.UNPROVEN, why)
        return await self._directly(Target(peer, target, gateways))

    async def _by_pods(self, pods: Sequence[Address]) -> Outcome:
        if not pods:
            return Outcome(Found.NO_ENDPOINT, "no pod of it on our network is ready")
        why = ""
        for pod in pods[:AT_A_TIME]:
            knocked = await self._knock(pod)
            if knocked in _TAKEN:
                return Outcome(Found.OK)
            why = f"{pod}: {knocked.value}"
        return Outcome(Found.ENDPOINT_FAILED, why)

    async def _by_tunnels(self, target: ServicePort, *, peer: ClusterId) -> Outcome | None:
        """What the tunnels to it say; None where none is open, or all were lost."""
        opening = Opening(
            id=f"{random.getrandbits(64):016x}",
            namespace=target.namespace,
            service=target.service,
            port=target.port,
            probe=True,
        )
        message = write_message(opening)
        tried: list[Tunnel] = []
        last: Outcome | None = None
        while (tunnel := self._tunnels.best(peer, without=tried)) is not None:
            tried.append(tunnel)
            if not target.port and not _knows_probes(tunnel):
                continue  # without that word no port would be a port that it does not have
            said = await _asked(tunnel, message)
            if said is not None:
                last = said
                if said.found.value not in _OF_ONE_GATEWAY:
                    break
        return last

    async def _directly(self, target: Target) -> Outcome:
        try:
            stream = await self._opener.open(target)
        except ClusterSilent as error:
            return Outcome(Found.UNREACHABLE, error.what)
        except StreamRefused as error:
            return Outcome(Found.REFUSED if error.trusted else Found.NOT_TRUSTED, error.what)
        evidence = _Evidence()
        try:
            stream.start(evidence)
            stream.end()
            async with asyncio.timeout(_EVIDENCE):
                taken = await evidence.came
        except TimeoutError:
            why = (
                f"there is no tunnel, and by a connection of its own {target.service} says nothing by itself"
            )
            return Outcome(Found.UNPROVEN, why)
        finally:
            stream.abort()
        if taken:
            return Outcome(Found.OK)
        return Outcome(
            Found.REFUSED, f"cluster {target.cluster} took the connection and closed it unanswered"
        )


def _port(seen: ServiceImport | None) -> int | None:
    """The first TCP port of an import; 0 where the exporter is to choose, None where there is none."""
    if seen is None or seen.spec.type == "Headless":
        return 0
    return next((port.port for port in seen.spec.ports if port.protocol == "TCP"), None)


def _knows_probes(tunnel: Tunnel) -> bool:
    return tunnel.hello is not None and PROBES in tunnel.hello.features


async def _asked(tunnel: Tunnel, message: bytes) -> Outcome | None:
    """What the other end says; None when the tunnel gives no stream, or is lost."""
    heard: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()

    def answered(stream: MuxStream, body: bytes | None) -> None:
        if heard.done():
            return
        if body is None:
            refused = stream.is_gone and not tunnel.is_gone
            heard.set_result(Outcome(Found.STOPPING, "refused without a word") if refused else None)
            return
        outcome = read(body)
        if outcome.found in (Found.OK, Found.OK_IN_PART):
            stream.accepted()
            stream.start(_Closing(stream))
            stream.end()
        elif not stream.is_gone:
            stream.abort()
        heard.set_result(outcome)

    try:
        stream = tunnel.session.open(message, answered=answered)
    except ProtocolError:
        tunnel.leave()  # its numbers are used up; what goes on in it may end
        return None
    try:
        return await heard
    except asyncio.CancelledError:
        stream.abort()
        raise


def read(body: bytes) -> Outcome:
    """What an answer comes to. A refusal is none of the words that only we say, whatever a peer calls it."""
    try:
        answer = read_answer(body)
    except BadMessage:
        answer = Answer(Found.REFUSED.value, "an answer that does not read")
    if not answer.reason:
        return Outcome(Found.OK_IN_PART if answer.why else Found.OK, answer.why)
    return Outcome(_REFUSALS.get(answer.reason, Found.REFUSED), answer.why or answer.reason)


class _Quiet:
    """A reader that wants nothing."""

    def bytes_came(self, data: bytes) -> None:
        pass

    def bytes_ended(self) -> None:
        pass

    def send_paused(self) -> None:
        pass

    def send_resumed(self) -> None:
        pass

    def stream_gone(self, *, cleanly: bool) -> None:
        pass


class _Closing(_Quiet):
    """Sees to it that an accepted stream ends soon, also by a peer that knows no probes."""

    def __init__(self, stream: MuxStream) -> None:
        self._stream = stream
        self._timer = asyncio.get_running_loop().call_later(_CLOSING, stream.abort)

    def bytes_came(self, data: bytes) -> None:
        self._stream.abort()

    def stream_gone(self, *, cleanly: bool) -> None:
        self._timer.cancel()


class _Evidence(_Quiet):
    """`came` is whether anything but a reset came back."""

    def __init__(self) -> None:
        self.came: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def bytes_came(self, data: bytes) -> None:
        self._tell(is_good=True)

    def bytes_ended(self) -> None:
        self._tell(is_good=True)

    def stream_gone(self, *, cleanly: bool) -> None:
        self._tell(is_good=cleanly)

    def _tell(self, *, is_good: bool) -> None:
        if not self.came.done():
            self.came.set_result(is_good)

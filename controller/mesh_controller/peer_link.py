"""The link to one peer: dials its gateways in turn, listens to its stream, and comes again when it ends.

1. A stream that is lost takes nothing back: what the peer said last stays (failure rules 2 and 3).
2. Who answers must be the controller of that very cluster, by its certificate.
3. Rounds over the gateways are apart by a growing, jittered pause; a stream that was synced and stayed
   for a while starts anew. One that closes after its list would otherwise have us take that list for ever.
4. State changes on edges: a stream that comes back within the next round was never away for a reader.
5. A cluster that said that it has left has done so until it is synced again.
"""

import asyncio
import random
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Never, Protocol

from msgspec.structs import replace

from mesh_controller.peer_dial import dial_gateway, dial_through_tunnel
from mesh_controller.peer_server import StandingReader
from mesh_controller.peer_stream import GREETING_LIMIT, PeerStream, StreamEnded
from mesh_controller.trust_loop import TrustLoop
from mesh_controller.trust_talk import TrustTalk
from mesh_core.admission import EntryKey
from mesh_core.allowance import LEAST, Allowance
from mesh_core.contact_lease import Acknowledged
from mesh_core.identity import Component, Expected, cluster_id
from mesh_core.leaving import left_sentence
from mesh_core.names import ALPN_PEER, GATEWAY_INNER
from mesh_core.objects import PeerGateway
from mesh_core.objects.mesh import PeerTrust
from mesh_core.peer_identity import IdentityUsedTwice
from mesh_core.peer_session import ClustersetLeft, Effect, PeerLeft, PeerSession, Phase
from mesh_core.peer_status import Link, LinkState
from mesh_core.peer_view import PeerView
from mesh_core.peer_wire import Ack, Bye, Heartbeat, Hello, Mesh, Message, PeerProtocolError, Trust
from mesh_core.trust import Chain
from mesh_runtime.clock import Clock
from mesh_runtime.latest import first_of
from mesh_runtime.leaf import Standing
from mesh_runtime.log import logger
from mesh_runtime.record_signing import ChainVerifier
from mesh_runtime.tls import PeerRefused, UnusableCredentials, prove_peer

_log = logger(__name__)

_LIST_LIMIT = 60.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
_STAYED = 30.0
_LONGEST_WAIT = 5.0


class Listener(Protocol):
    """Who wants to know what a link hears."""

    def state_changed(self, cluster: str) -> None:
        """`PeerLink.state` may differ from what it was."""

    def records_changed(self, cluster: str, keys: Sequence[EntryKey]) -> None:
        """What the peer exports under `keys` may have changed."""

    def list_changed(self, cluster: str) -> None:
        """All exports of the peer may have changed."""

    def identity_clash(self, cluster: str, *, why: str) -> None:
        """Another cluster answered under the peer's id."""


@dataclass(frozen=True, slots=True)
class _Failure:
    link: Link
    why: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every link of a controller shares; `pending` says why there is no certificate, `texts` takes those
    that peers pass on.

    `pinned` gives the UID of the cluster that a peer was so far, "" for nobody yet. `door` gives the
    inner door of our own gateways, None while there is none.
    """

    trust: StandingReader
    texts: TrustLoop
    pending: Callable[[], str]
    hello: Callable[[str], Hello]
    pinned: Callable[[str], str]
    door: Callable[[], PeerGateway | None]
    clock: Clock
    listener: Listener


class PeerLink:
    """The link to the peer of `view`; run it in a task group.

    Without `gateways` it goes through a tunnel that the peer dialled. `left` is what was known at the start
    of a peer that has left, "" of another.
    """

    def __init__(
        self,
        view: PeerView,
        *,
        gateways: Sequence[PeerGateway],
        surroundings: Surroundings,
        left: str = "",
    ) -> None:
        self.view = view
        self.gateways = tuple(gateways)
        self.heard: datetime | None = None
        self.acknowledged: Acknowledged | None = None
        # For how long the peer had not seen its own API server, as it said last; it outlives streams, since a
        # new one says it only with its first heartbeat.
        self._unseen = timedelta()
        self._at = surroundings
        self._allowance = Allowance()
        self._link = Link.LEFT if left else Link.CONNECTING
        self._detail = left
        self._last_sync: datetime | None = None
        self._told: Hello | None = None
        self._mesh: Mesh | None = None
        self._trust: PeerTrust | None = None
        self._chain: Chain | None = None

    @property
    def state(self) -> LinkState:
        """How the link stands."""
        known = self._last_sync is not None
        return LinkState(
            link=self._link,
            detail=self._detail,
            exports=self.view.services if known else None,
            last_sync=self._last_sync,
            refusals=self.view.refusals,
            network=self._told.network if self._told is not None else None,
            dial=self._told.dial if self._told is not None else None,
            peers=self._mesh.peers if self._mesh is not None else None,
            trust=self._trust,
            uid=self._told.kube_system_uid if self._told is not None and known else "",
            key=self._chain.intermediate if self._chain is not None and known else "",
            is_pooled=self._chain is not None and bool(self._chain.issuer),
        )

    @property
    def has_left(self) -> bool:
        """Whether the peer said at last that it has left the clusterset."""
        return self._link is Link.LEFT

    async def run(self) -> None:
        """Dial and listen, for ever."""
        pause = _FIRST_PAUSE
        now = asyncio.get_running_loop().time
        while True:
            standing = await self._standing()
            began = now()
            stayed = await self._round(standing) and now() - began > _STAYED
            pause = _FIRST_PAUSE if stayed else min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def _standing(self) -> Standing:
        """Our own certificate, as soon as there is one."""
        seen: Standing | None = None
        while (standing := self._at.trust.current) is None:
            self._become(Link.TRUST_PENDING, detail=self._at.pending())
            seen = await self._at.trust.after(seen)
        return standing

    async def _round(self, standing: Standing) -> bool:
        """Try each gateway once, until one leads to a stream that is synced; whether one did."""
        failures: list[_Failure] = []
        door = self._at.door()
        if not self.gateways and door is None:
            failures.append(_Failure(Link.UNREACHABLE, f"there is no Service {GATEWAY_INNER} here"))
        for gateway in self.gateways or ((door,) if door is not None else ()):
            before = self._last_sync
            failure = await self._attempt(gateway, standing)
            place = f"{gateway.host}:{gateway.port}"
            _log.info("no stream to a peer", peer=self.view.cluster, gateway=place, why=failure.why)
            if self._last_sync is not before:
                return True
            failures.append(_Failure(failure.link, f"{place}: {failure.why}"))
        self._despair(failures)
        return False

    async def _attempt(self, gateway: PeerGateway, standing: Standing) -> _Failure:
        """One stream from its dialling to its end; why it ended."""
        farewell, stream = "", None
        try:
            stream = await self._dial(gateway, standing)
            await self._listen(stream, standing)
        except ClustersetLeft as error:
            self._become(Link.LEFT, detail=left_sentence(self.view.cluster, since=error.since))
            self._at.listener.list_changed(self.view.cluster)
            return _Failure(Link.LEFT, error.what)
        except PeerLeft as error:
            return _Failure(Link.REFUSED, error.what)
        except IdentityUsedTwice as error:
            farewell = error.what
            self._at.listener.identity_clash(self.view.cluster, why=error.what)
            return _Failure(Link.REFUSED, error.what)
        except (PeerRefused, PeerProtocolError) as error:
            farewell = error.what
            return _Failure(Link.REFUSED, error.what)
        except UnusableCredentials as error:
            return _Failure(Link.TRUST_PENDING, error.what)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError):
            return _Failure(Link.UNREACHABLE, "the connection was closed before anybody answered")
        except ssl.SSLError as error:
            return _Failure(Link.REFUSED, f"TLS is refused ({error.reason or error})")
        except TimeoutError:
            return _Failure(Link.UNREACHABLE, "no answer in time")
        except StreamEnded as error:
            return _Failure(Link.UNREACHABLE, error.what)
        except (OSError, UnicodeError) as error:
            # UnicodeError: a host name that cannot be asked for, such as one with a label of 64.
            return _Failure(Link.UNREACHABLE, str(error))
        except Exception as error:
            # Nothing that a peer sends may end the process of everybody else's links.
            farewell = "a defect of ours"
            _log.error("a peer's stream is dropped by a defect", error=error, peer=self.view.cluster)
            return _Failure(Link.REFUSED, "a defect of ours met what the peer sent; see the log")
        finally:
            if stream is not None:
                await stream.close(reason=farewell)

    async def _dial(self, gateway: PeerGateway, standing: Standing) -> PeerStream:
        dial = dial_gateway if self.gateways else dial_through_tunnel
        return await dial(gateway, cluster=self.view.cluster, standing=standing)

    async def _listen(self, stream: PeerStream, standing: Standing) -> Never:
        """Take the stream's messages until it ends by an error."""
        if stream.tls.selected_alpn_protocol() != ALPN_PEER:
            raise PeerProtocolError(f"the peer does not speak {ALPN_PEER}")
        expected = Expected(
            domain=standing.identity.domain,
            components=frozenset({Component.CONTROLLER}),
            clusters=frozenset({cluster_id(self.view.cluster)}),
        )
        proved = prove_peer(stream.tls, expected=expected, trust=standing.trust)
        talk = TrustTalk(self._at.texts, proved=proved, domain=standing.identity.domain)
        talk.admit()
        # The stream outlives changes of roots, after which the peer signs below another.
        verifier = ChainVerifier(
            expected=proved.identity, beliefs=lambda: self._at.trust.current or standing, clock=self._at.clock
        )
        session = PeerSession(
            self.view,
            hello=self._at.hello(self.view.cluster),
            pinned=self._at.pinned(self.view.cluster),
            verifier=verifier,
        )
        await stream.send((session.hello,))
        await self._meet(session, stream, talk=talk)
        self._chain = proved.chain
        await first_of(self._hear(session, stream, talk=talk), talk.watch(), talk.pass_on(stream))
        raise AssertionError("none of them returns")

    async def _meet(self, session: PeerSession, stream: PeerStream, *, talk: TrustTalk) -> None:
        """Hear the peer's hello, pass on what it lacks and ask for its records.

        Of a peer that we do not know yet nothing is taken but newer trust, by which it may be known. A peer
        that does not know us yet has ours before it reads what we ask for.
        """
        replies: list[Message] = []
        try:
            async with asyncio.timeout(GREETING_LIMIT):
                while session.phase is Phase.GREETING:
                    replies += self._taken(await stream.receive(), session=session, talk=talk)
                if not talk.is_believed:
                    await first_of(talk.until_believed(), self._hear_trust(session, stream, talk=talk))
        except TimeoutError as error:
            if not talk.is_believed:
                raise PeerRefused(talk.verdict.words) from error
            raise StreamEnded("no greeting came") from error
        await stream.send((*talk.news(), *replies))

    async def _hear_trust(self, session: PeerSession, stream: PeerStream, *, talk: TrustTalk) -> Never:
        while True:
            if not (talk.is_ahead or talk.has_taken or talk.is_believed):
                raise PeerRefused(talk.verdict.words)
            self._taken(await stream.receive(), session=session, talk=talk)

    async def _hear(self, session: PeerSession, stream: PeerStream, *, talk: TrustTalk) -> Never:
        """Take what comes, as fast as the peer may speak."""
        async with asyncio.timeout(_LIST_LIMIT):
            while session.phase is not Phase.SYNCED:
                await self._take(session, stream, talk=talk)
        while True:
            size = await self._take(session, stream, talk=talk)
            # The budget outlives streams: coming again brings no new one.
            wait = self._allowance.spend(size, now=asyncio.get_running_loop().time())
            await asyncio.sleep(min(wait, _LONGEST_WAIT))

    async def _take(self, session: PeerSession, stream: PeerStream, *, talk: TrustTalk) -> int:
        """Take what comes next; for how many bytes it counts."""
        messages = await stream.receive()
        await stream.send(self._taken(messages, session=session, talk=talk))
        return max(stream.taken, LEAST * len(messages))

    def _taken(self, messages: Sequence[Message], *, session: PeerSession, talk: TrustTalk) -> list[Message]:
        """Take these messages; what to answer."""
        self.heard = self._at.clock()
        replies: list[Message] = []
        is_believed = talk.is_believed
        for message in messages:
            if not (is_believed or isinstance(message, Hello | Trust | Bye)):
                raise PeerRefused(talk.verdict.words)
            if isinstance(message, Bye) and not is_believed:
                # Only who is believed can say that this member has left; the reason is worth reading.
                message = replace(message, left="")
            effect = session.take(message)
            if isinstance(message, Hello):
                talk.greet(message)
            if effect.trust is not None:
                talk.take(effect.trust)
            self._heed(effect, session=session)
            if isinstance(message, Heartbeat):
                self._unseen = timedelta(seconds=message.unseen)
            if isinstance(effect.reply, Ack) and session.phase is Phase.SYNCED:
                # While a list comes in, an acknowledgement only says that it is heard.
                self.acknowledged = Acknowledged(effect.reply.revision, self._at.clock() - self._unseen)
            # Of several acknowledgements only the last says anything.
            if isinstance(effect.reply, Ack) and replies and isinstance(replies[-1], Ack):
                replies.pop()
            replies += [effect.reply] if effect.reply is not None else []
        return replies

    def _heed(self, effect: Effect, *, session: PeerSession) -> None:
        """Tell the listener what a message has changed."""
        cluster, listener = self.view.cluster, self._at.listener
        if effect.report:
            self._trust = session.trust
            listener.state_changed(cluster)
        elif effect.mesh:
            self._mesh = session.mesh
            listener.state_changed(cluster)
        elif effect.synced:
            self._last_sync = self._at.clock()
            self._told, self._trust = session.peer, session.trust
            _log.info("a peer is synced", peer=cluster, exports=self.view.services)
            listener.list_changed(cluster)
            self._become(Link.SYNCED)
            listener.state_changed(cluster)
        elif effect.changed:
            listener.records_changed(cluster, effect.changed)
            listener.state_changed(cluster)

    def _despair(self, failures: Sequence[_Failure]) -> None:
        """No gateway led anywhere: say so, with the first word that speaks of more than silence."""
        worst = next((f.link for f in failures if f.link is not Link.UNREACHABLE), Link.UNREACHABLE)
        reasons = "; ".join(failure.why for failure in failures)
        match worst:
            case Link.UNREACHABLE if not self.gateways:
                cluster = self.view.cluster
                advice = f"it is {cluster} that dials, check its gateway and its MeshPeer for this cluster"
            case Link.UNREACHABLE:
                advice = "check spec.gateways, and that the peer's gateway and controller run"
            case _:
                advice = "compare the clusterset domain, roots and cluster ids of both clusters"
        self._become(worst, detail=f"no stream to the peer, {advice}: {reasons}")

    def _become(self, link: Link, *, detail: str = "") -> None:
        if self.has_left and link not in (Link.LEFT, Link.SYNCED):
            return
        if (link, detail) != (self._link, self._detail):
            self._link, self._detail = link, detail
            self._at.listener.state_changed(self.view.cluster)

"""The door for newcomers, and the newcomer itself, against whoever may stand at the other end: real TLS."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from mesh_controller.join_door import BURST, MOST_AT_ONCE, RATE
from mesh_core.identity import Component, cluster_id
from mesh_core.invitation_token import Token, key_of
from mesh_core.join_wire import (
    LONGEST_ACCEPT,
    Accept,
    JoinCode,
    JoinFailed,
    Message,
    Offer,
    Offered,
    Request,
    accept_of,
    frame,
)
from mesh_core.names import ALPN_JOIN, ALPN_PEER, INVITATIONS_SECRET, SYSTEM_NAMESPACE
from mesh_core.objects.trust import RootEntry, Signed, Statement
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.inviting import Inviter, at_port, inviter
from mesh_fakes.waiting import until
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.join_stream import HANDSHAKE_LIMIT, come_in, door_context, known_offer
from mesh_runtime.kube import SECRETS
from mesh_runtime.pem import certificates_from_pem
from mesh_runtime.pki import constraints_of, name_constraints, new_key
from mesh_runtime.signing_request import make_request
from mesh_runtime.tls import Credentials, anonymous_context
from mesh_runtime.trust_signing import key_id_of, signed

pytestmark = pytest.mark.asyncio

# A JSON object: its values are whatever JSON has, hence Any.
Json = dict[str, Any]


@dataclass(slots=True)
class Caller:
    """A stranger at the door, who reads and writes frames with struct and json."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def hear(self) -> Json:
        async with asyncio.timeout(60):
            (length,) = struct.unpack(">I", await self.reader.readexactly(4))
            found: Json = json.loads(await self.reader.readexactly(length))
            return found

    async def is_closed(self, *, limit: float = 5) -> bool:
        """Whether the server ends it, saying nothing more."""
        async with asyncio.timeout(limit):
            try:
                return await self.reader.read() == b""
            except (ConnectionError, ssl.SSLError):
                return True


@asynccontextmanager
async def at_door(east: Inviter, context: ssl.SSLContext | None = None) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        east.doors[0].port,
        ssl=context or anonymous_context(alpn=(ALPN_JOIN,)),
        server_hostname="join.east.clusterset.internal",
    )
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


def request_of(key: Any = None, **fields: Any) -> Request:  # Any: a P-256 key; whatever fields it has
    csr = make_request(key or new_key(), identity=identity("west", Component.CONTROLLER)).decode()
    known = {"cluster": "west", "uid": "uid", "clock": datetime.now(UTC).isoformat(), "csr": csr}
    return Request(domain="clusterset.internal", **{**known, **fields})


def answering(token: Token, request: Request) -> Callable[[Offer], Awaitable[Accept]]:
    async def answer(offer: Offer) -> Accept:
        key = key_of(token.secret, invitation=token.id)
        return accept_of(request, invitation=token.id, key=key, challenge=offer.challenge)

    return answer


async def refused(token: Token, request: Request) -> JoinFailed:
    """Why the inviter at the token's gateway does not let that in."""
    with pytest.raises(JoinFailed) as error:
        await come_in(token.gateways[0], token=token, accept=answering(token, request))
    return error.value


# The server, against newcomers.


async def test_nothing_listens_while_no_invitation_is_open() -> None:
    async with inviter() as east:
        assert east.doors[0].port == 0
        token = await east.at(east.invite())
        port = token.gateways[0].port
        east.keep(token.id, msgspec.structs.replace(east.invitation(token), revoked=True))
        await until(lambda: east.doors[0].port == 0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_the_door_shuts_by_itself_when_the_last_invitation_ends() -> None:
    async with inviter() as east:
        token = await east.at(east.invite(ttl=timedelta(seconds=2)))
        await until(lambda: east.doors[0].port == 0)
        assert east.invitation(token).uses == 1


async def test_a_door_that_was_shut_opens_again() -> None:
    async with inviter() as east:
        token = await east.at(east.invite())
        east.api.remove(SECRETS, INVITATIONS_SECRET, namespace=SYSTEM_NAMESPACE)
        await until(lambda: east.doors[0].port == 0)
        token = await east.at(east.invite())
        await known_offer(token.gateways[0], token=token)


async def test_no_certificate_is_asked_for_and_the_whole_chain_is_shown() -> None:
    async with inviter() as east:
        await east.at(east.invite())
        context = anonymous_context(alpn=(ALPN_JOIN,), roots=east.clusterset.roots)
        async with at_door(east, context) as caller:
            tls = caller.writer.get_extra_info("ssl_object")
            assert tls.version() == "TLSv1.3"
            offer = await caller.hear()
            assert (offer["type"], offer["cluster"], offer["pool"]) == ("offer", "east", "by-east")


async def test_every_challenge_is_another() -> None:
    async with inviter() as east:
        await east.at(east.invite())
        seen = set()
        for _ in range(4):
            async with at_door(east) as caller:
                seen.add((await caller.hear())["challenge"])
        assert len(seen) == 4


async def test_tls_1_2_is_refused() -> None:
    async with inviter() as east:
        await east.at(east.invite())
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.set_alpn_protocols([ALPN_JOIN])
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with at_door(east, old):
                pass


@pytest.mark.parametrize("protocols", [(), (ALPN_PEER,), ("h2",), ("meshctl-join/2",)])
async def test_another_protocol_hears_nothing(protocols: tuple[str, ...]) -> None:
    async with inviter() as east:
        await east.at(east.invite())
        async with at_door(east, anonymous_context(alpn=protocols)) as caller:
            assert await caller.is_closed()


@pytest.mark.parametrize(
    "said",
    [
        struct.pack(">I", 0),
        struct.pack(">I", LONGEST_ACCEPT + 1) + b"{",
        struct.pack(">I", 0xFFFFFFFF),
        struct.pack(">I", 2) + b"{}",
        struct.pack(">I", 4) + b"null",
        struct.pack(">I", 2) + b"\xff\xff",
        struct.pack(">I", 10000) + b"[" * 10000,
        struct.pack(">I", 16) + b'{"type":"hello"}',
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_accept_ends_the_connection(said: bytes) -> None:
    async with inviter() as east:
        token = await east.at(east.invite())
        async with at_door(east) as caller:
            await caller.hear()
            caller.writer.write(said)
            assert await caller.is_closed()
        assert east.invitation(token).uses == 1
        await known_offer(token.gateways[0], token=token)


async def test_an_accept_of_another_connection_is_worth_nothing() -> None:
    """A replay: the proof is over the challenge of the connection that it was made for."""
    async with inviter() as east:
        token = await east.at(east.invite())
        spoken: list[Accept] = []

        async def kept(offer: Offer) -> Accept:
            spoken.append(await answering(token, request_of())(offer))
            raise JoinFailed(JoinCode.NOT_NOW, "kept for later", next_step="replay it")

        with pytest.raises(JoinFailed):
            await come_in(token.gateways[0], token=token, accept=kept)
        async with at_door(east) as caller:
            await caller.hear()
            caller.writer.write(frame(spoken[0]))
            assert (await caller.hear())["code"] == "InvitationUnknown"
        assert east.invitation(token).uses == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"csr": "no PEM"}, JoinCode.BAD_REQUEST),
        ({"csr": ""}, JoinCode.BAD_REQUEST),
        ({"cluster": "../../secrets/x"}, JoinCode.BAD_REQUEST),
        ({"cluster": "w\u0435st"}, JoinCode.BAD_REQUEST),
        ({"cluster": "kube-system/x"}, JoinCode.BAD_REQUEST),
        ({"clock": "x"}, JoinCode.BAD_REQUEST),
    ],
)
async def test_a_holder_of_a_token_who_asks_for_nonsense_takes_no_use(fields: Json, code: JoinCode) -> None:
    async with inviter() as east:
        token = await east.at(east.invite())
        error = await refused(token, request_of(**fields))
        assert error.code is code and error.next_step
        assert east.invitation(token).uses == 1


async def test_a_request_that_its_key_has_not_signed_gets_no_certificate() -> None:
    """Proof of possession: another's public key in the place of one's own."""
    own = make_request(new_key(), identity=identity("west", Component.CONTROLLER))
    other = make_request(new_key(), identity=identity("west", Component.CONTROLLER))
    mixed = own.splitlines()[:3] + other.splitlines()[3:]
    async with inviter() as east:
        token = await east.at(east.invite())
        error = await refused(token, request_of(csr=b"\n".join(mixed).decode()))
        assert error.code is JoinCode.BAD_REQUEST


async def test_the_certificate_is_for_the_id_that_was_given_whatever_the_request_wishes() -> None:
    async with inviter() as east:
        token = await east.at(east.invite())
        key = new_key()
        csr = make_request(key, identity=identity("east", Component.CONTROLLER)).decode()
        invited = await come_in(token.gateways[0], token=token, accept=answering(token, request_of(csr=csr)))
        (given,) = certificates_from_pem(invited.welcome.certificates[0].encode(), what="the intermediate")
        assert constraints_of(given) == name_constraints(
            cluster_id("west"), domain=token.domain, pool="by-east"
        )


async def test_who_says_nothing_is_let_go_and_others_come_in_meanwhile() -> None:
    async with inviter() as east:
        token = await east.at(east.invite())
        async with at_door(east) as silent:
            await silent.hear()
            await come_in(token.gateways[0], token=token, accept=answering(token, request_of()))
            assert await silent.is_closed(limit=15)


async def test_who_never_ends_his_handshake_is_let_go() -> None:
    async with inviter() as east:
        await east.at(east.invite())
        reader, writer = await asyncio.open_connection("127.0.0.1", east.doors[0].port)
        writer.write(b"\x16\x03\x01\x02\x00")
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.transport.abort()


async def test_only_so_many_are_at_the_door_at_a_time_and_so_often() -> None:
    async with inviter() as east:
        await east.at(east.invite())
        writers: list[asyncio.StreamWriter] = []
        waiting: list[asyncio.Task[bytes]] = []
        for _ in range(BURST + 10):
            reader, writer = await asyncio.open_connection("127.0.0.1", east.doors[0].port)
            writers.append(writer)
            waiting.append(asyncio.create_task(reader.read()))
        # Sooner than those that are held are given up.
        needed = BURST + 10 - MOST_AT_ONCE - 1
        await until(lambda: sum(one.done() for one in waiting) >= needed, limit=HANDSHAKE_LIMIT / 2)
        assert MOST_AT_ONCE < BURST and RATE <= 5
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*waiting, return_exceptions=True)


# The newcomer, against whoever says that he is the inviter.


@asynccontextmanager
async def impostor(credentials: Credentials, *messages: Message) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that shows `credentials` and says `messages`; the port, and what it was told."""
    told: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            for message in messages:
                writer.write(frame(message))
            await writer.drain()
            told.append(await reader.read())
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=door_context(credentials))
    try:
        yield server.sockets[0].getsockname()[1], told
    finally:
        server.close()


def statement_of(clusterset: FakeClusterset) -> Signed:
    key = key_id_of(clusterset.root.key.public_key())
    statement = Statement(
        domain=clusterset.domain,
        generation=1,
        roots=(RootEntry(key=key, certificate=clusterset.roots[0]),),
        roster=(),
    )
    return signed(statement, by=(clusterset.root.key,))


def offer_of(statement: Signed, **fields: Any) -> Offer:  # Any: whatever fields it has
    known: Json = {"version": 1, "domain": "clusterset.internal", "cluster": "east", "pool": "by-east"}
    return Offer(**{**known, **fields}, challenge=bytes(32), trust=Offered(statement=statement))


@pytest.mark.parametrize(
    "pretends", ["its own root", "our statement", "our statement and another key's name"]
)
async def test_somebody_in_the_middle_learns_nothing_ruling_3(pretends: str) -> None:
    """He may say whatever he has heard, but has no certificate below the root that the token names."""
    foreign = FakeClusterset()
    async with inviter() as east:
        token = await east.at(east.invite())
        statement = statement_of(foreign) if pretends == "its own root" else east.statement()
        if pretends == "a changed statement":
            text = json.loads(statement.text)
            text["roots"][0]["certificate"] = foreign.roots[0]
            statement = Signed(text=json.dumps(text), signatures=statement.signatures)
        shown = foreign.credentials("east", Component.CONTROLLER)
        async with impostor(shown, offer_of(statement)) as (port, told):
            error = await refused(at_port(token, port), request_of())
            assert error.code is JoinCode.WRONG_INVITER
            assert "do not go on" in error.next_step
            assert all(said == b"" for said in told)


@pytest.mark.parametrize("who", ["another member", "another component", "an evicted member"])
async def test_another_of_the_same_clusterset_is_not_the_inviter(who: str) -> None:
    clusterset = FakeClusterset()
    async with inviter(clusterset=clusterset, members=("north",)) as east:
        token = await east.at(east.invite())
        shown = {
            "another member": clusterset.credentials("north", Component.CONTROLLER),
            "another component": clusterset.credentials("east", Component.GATEWAY),
            # East by name, below our root, but with a key that the roster does not have.
            "an evicted member": own_leaf(
                FakeClusterset.member(_twin(clusterset), "east"),
                identity=identity("east", Component.CONTROLLER),
                clock=lambda: clusterset.now,
            ),
        }[who]
        offer = offer_of(east.statement(members=("north",)))
        async with impostor(shown, offer) as (port, told):
            error = await refused(at_port(token, port), request_of())
            assert error.code is JoinCode.WRONG_INVITER
            assert all(said == b"" for said in told)


def _twin(clusterset: FakeClusterset) -> FakeClusterset:
    """The same root, whose members have other keys."""
    twin = FakeClusterset()
    twin.root, twin.now = clusterset.root, clusterset.now
    return twin


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"version": 2}, JoinCode.BAD_REQUEST),
        ({"domain": "other.internal"}, JoinCode.WRONG_CLUSTERSET),
        ({"cluster": "north"}, JoinCode.WRONG_INVITER),
        ({"pool": "by-north"}, JoinCode.WRONG_INVITER),
    ],
)
async def test_an_offer_that_is_not_the_tokens_is_not_answered(fields: Json, code: JoinCode) -> None:
    async with inviter() as east:
        token = await east.at(east.invite())
        shown = east.clusterset.credentials("east", Component.CONTROLLER)
        async with impostor(shown, offer_of(east.statement(), **fields)) as (port, told):
            assert (await refused(at_port(token, port), request_of())).code is code
            assert all(said == b"" for said in told)


async def test_a_gateway_without_an_open_door_is_told_from_silence() -> None:
    async with inviter() as east:
        token = east.invite()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)

            async def shut() -> None:
                loop = asyncio.get_running_loop()
                connection, _ = await loop.sock_accept(listener)
                await loop.sock_recv(connection, 4096)
                connection.close()

            async with asyncio.TaskGroup() as group:
                group.create_task(shut())
                port = listener.getsockname()[1]
                closed = await refused(at_port(token, port), request_of())
        silent = await refused(at_port(token, 1), request_of())
        assert closed.code is silent.code is JoinCode.UNREACHABLE
        assert "no invitation is open there" in closed.what
        assert "cannot be reached" in silent.what


async def test_who_repeats_an_older_statement_than_the_token_knows_is_not_answered() -> None:
    """In it a key of the inviter may still be good that was stolen and has been refused since."""
    async with inviter() as east:
        token = replace(await east.at(east.invite()), generation=2)
        shown = east.clusterset.credentials("east", Component.CONTROLLER)
        async with impostor(shown, offer_of(east.statement())) as (port, told):
            error = await refused(at_port(token, port), request_of())
            assert error.code is JoinCode.WRONG_INVITER and "older" in error.what
            error = await refused(replace(at_port(token, port), generation=1, revision=1), request_of())
            assert error.code is JoinCode.WRONG_INVITER and "older" in error.what
            assert all(said == b"" for said in told)

"""`meshctl check` as a person uses it, and its handshakes, with real sockets and certificates."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mesh_cli.check.findings import Answer, Handshake
from mesh_cli.check.handshake import handshakes, targets
from mesh_cli.check.registry import CHECKS
from mesh_cli.main import command
from mesh_core.errors import MeshError
from mesh_core.identity import Component, Identity, cluster_id
from mesh_core.names import ALPN_TUNNEL
from mesh_core.objects import PeerGateway
from mesh_fakes.clusters import bare_cluster, make_member, with_controllers
from mesh_fakes.clusterset import DOMAIN, FakeClusterset
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig
from mesh_gateway.sni import GatewayTarget, PeerTarget, read_server_name
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.tls import server_context

Meshctl = Callable[..., Result]
SET = FakeClusterset()


@pytest.fixture
def east() -> ObjectServer:
    server = with_controllers(bare_cluster("east"))
    make_member(server, cluster="east", root=SET.roots[0])
    return server


@pytest.fixture
def meshctl(tmp_path: Path, east: ObjectServer) -> Iterator[Meshctl]:
    """Runs `meshctl` with contexts `e` and `dead`."""
    with ExitStack() as stack:
        urls = {"e": stack.enter_context(served(east)).url, "dead": "http://127.0.0.1:9"}
        file = write_kubeconfig(tmp_path / "kubeconfig", servers=urls, current="e")

        def run(*words: str) -> Result:
            return CliRunner().invoke(command, ["--kubeconfig", str(file), *words], standalone_mode=False)

        yield run


def verdicts(result: Result) -> dict[tuple[str, str], str]:
    checks = json.loads(result.stdout)["checks"]
    return {(one["context"], one["id"]): one["verdict"] for one in checks}


def test_a_cluster_that_does_not_answer_makes_its_checks_unknown_and_hides_no_other(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    before = east.versions()
    result = meshctl("check", "--context", "e", "--context", "dead", "-o", "json")
    assert result.exception is None, result.exception
    found = verdicts(result)
    assert {found["dead", check.id] for check in CHECKS} == {"unknown"}
    assert found["e", "MESH-API-001"] == "ok"
    assert found["e", "MESH-CLOCK-001"] == "ok"
    assert found["e", "MESH-TRUST-004"] == "ok"
    assert found["e", "MESH-CLOCK-002"] == "unknown"
    assert result.return_value == 1
    assert east.versions() == before, "a check writes nothing"


@pytest.mark.parametrize("kind", ["leases", "services"])
def test_what_several_checks_go_by_is_listed_once(meshctl: Meshctl, east: ObjectServer, kind: str) -> None:
    meshctl("check", "--context", "e")
    assert east.listed.count(kind) == 1


def test_a_member_without_our_programs_is_never_green(meshctl: Meshctl) -> None:
    found = verdicts(meshctl("check", "-o", "json"))
    for name in ("MESH-GW-001", "MESH-GW-002", "MESH-DNS-001", "MESH-TRUST-007", "MESH-API-004"):
        assert found["e", name] == "fail"


def test_what_may_not_be_read_makes_unknown_what_stands_on_it(meshctl: Meshctl, east: ObjectServer) -> None:
    east.refusals[("GET", "secrets")] = 403, "Forbidden"
    east.refusals[("GET", "configmaps")] = 403, "Forbidden"
    result = meshctl("check", "--only", "MESH-TRUST-007,MESH-DNS", "-o", "json")
    found = verdicts(result)
    assert (
        found["e", "MESH-TRUST-007"] == found["e", "MESH-DNS-002"] == found["e", "MESH-DNS-003"] == "unknown"
    )
    assert "403 Forbidden" in result.stdout
    assert result.return_value == 1


def test_a_warning_alone_is_no_failure(meshctl: Meshctl) -> None:
    result = meshctl("check", "--only", "MESH-CLOCK-001,MESH-TRUST-002")
    assert result.return_value == 0
    assert "warn    MESH-TRUST-002" in result.stdout
    assert result.stdout.endswith("1 ok, 1 warn, 0 unknown, 0 fail\n")


def test_an_id_that_does_not_exist_is_said_before_anything_is_asked(meshctl: Meshctl) -> None:
    result = meshctl("check", "--only", "MESH-NO-1", "--context", "nowhere")
    assert isinstance(result.exception, MeshError)
    assert "there is no check 'MESH-NO-1'" in str(result.exception)


def as_gateways_do(context: ssl.SSLContext, *, cluster: str) -> ssl.SSLContext:
    """With the names that a gateway knows: whoever asks for another one gets no certificate."""

    def named(_tls: object, name: str | None, _context: object) -> int | None:
        known = GatewayTarget(cluster), PeerTarget(cluster)
        found = read_server_name(name or "", domain=DOMAIN)
        return None if found in known else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = named
    return context


@asynccontextmanager
async def gateway(context: ssl.SSLContext | None, *, said: bytes = b"") -> AsyncIterator[PeerGateway]:
    """A port that speaks TLS by `context`, or says something and closes."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield PeerGateway(host="127.0.0.1", port=server.sockets[0].getsockname()[1])


async def shaken(
    address: PeerGateway, *, roots: tuple[str, ...] = SET.roots, limit: float = 3.0
) -> Handshake:
    wanted = targets("east", domain=DOMAIN, gateways=[address])[:1]
    (found,) = await handshakes(wanted, roots=roots, limit=limit)
    return found


@pytest.mark.asyncio
async def test_a_gateway_shows_its_chain_to_whoever_has_no_certificate() -> None:
    async with gateway(
        server_context(SET.credentials("east"), roots=SET.roots, alpn=[ALPN_TUNNEL])
    ) as address:
        found = await shaken(address)
    assert (found.answer, found.alpn, len(found.shown)) == (Answer.BELIEVED, ALPN_TUNNEL, 3)
    assert found.shown[0].uris == (f"spiffe://east.{DOMAIN}/gateway",)


@pytest.mark.asyncio
async def test_a_member_that_came_by_invitation_is_asked_for_by_its_id_and_shows_its_pool() -> None:
    who = Identity(cluster_id("north"), Component.GATEWAY, DOMAIN, pool="guests")
    invited = own_leaf(SET.invited("north", pool="guests"), identity=who, clock=lambda: SET.now)
    context = server_context(invited, roots=SET.roots, alpn=[ALPN_TUNNEL])
    async with gateway(as_gateways_do(context, cluster="north")) as address:
        wanted = targets("north", domain=DOMAIN, gateways=[address])[:1]
        (found,) = await handshakes(wanted, roots=SET.roots, limit=3.0)
    assert (found.answer, len(found.shown)) == (Answer.BELIEVED, 4)
    assert found.shown[0].uris == (f"spiffe://north.guests.{DOMAIN}/gateway",)


@pytest.mark.asyncio
async def test_what_is_not_believed_is_shown_all_the_same() -> None:
    other = FakeClusterset()
    async with gateway(
        server_context(SET.credentials("east"), roots=SET.roots, alpn=[ALPN_TUNNEL])
    ) as address:
        found = await shaken(address, roots=other.roots)
    assert (found.answer, len(found.shown)) == (Answer.NOT_BELIEVED, 2)
    assert "certificate" in found.detail


@pytest.mark.asyncio
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_whoever_speaks_no_tls_is_told_from_whoever_is_silent(said: bytes) -> None:
    async with gateway(None, said=said) as address:
        assert (await shaken(address)).answer is Answer.CLOSED
    assert (await shaken(address)).answer is Answer.SILENT


@pytest.mark.asyncio
async def test_a_gateway_that_takes_connections_and_says_nothing_costs_no_more_than_its_time() -> None:
    hold = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        began = time.monotonic()
        address = PeerGateway(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        assert (await shaken(address, limit=0.2)).answer is Answer.SILENT
        assert time.monotonic() - began < 20
        hold.set()

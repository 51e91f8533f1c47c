"""Into a pod through the API server: commands and ports, over a WebSocket."""

import json
from functools import partial

import pytest

from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.asking import ask_from, ask_mesh_pod, ask_pod, look_up, within
from mesh_cli.dns.reply import Reply, query_for
from mesh_cli.dns.way import PodView, Self
from mesh_dns.answer import Transport, respond
from mesh_dns.table import Table
from mesh_fakes.pod_channels import PodServer, pods_behind
from mesh_runtime.kube import ApiError, Inside, PodRefused, Unreachable, pod_port, run_in_pod

pytestmark = pytest.mark.asyncio

POD = Inside("meshctl-system", "dns-a", "dns")
QUERY = query_for("dns-version.clusterset.local", type_="TXT")
VERSION = Reply("NOERROR", ('"1.0.0"',), 5)


def served(packet: bytes) -> bytes:
    """What mesh-dns answers."""
    table = Table()
    table.complete = True
    return respond(packet, table=table, transport=Transport.TCP) or b""


async def test_a_command_gives_what_it_said_and_whether_it_failed() -> None:
    pods = PodServer(commands={"dns-a": lambda words: (" ".join(words).encode(), b"")})
    async with pods_behind(pods) as client:
        ran = await run_in_pod(client, ("echo", "a b", "c"), inside=POD)
        assert (ran.output, ran.complaint, ran.failure) == (b"echo a b c", b"a complaint", "")
        pods.commands["dns-a"] = lambda words: (b"", b'{"status":"Failure","message":"exit code 3"}')
        assert (await run_in_pod(client, ("false",), inside=POD)).failure == "exit code 3"
    assert pods.asked == ["dns-a exec"] * 2


async def test_a_refusal_silence_and_a_broken_connection_are_told_apart() -> None:
    async with pods_behind(PodServer(refused=403)) as client:
        with pytest.raises(ApiError, match="403 Forbidden"):
            await run_in_pod(client, ("true",), inside=POD)
        client.server = "http://127.0.0.1:9"
        with pytest.raises(Unreachable):
            await run_in_pod(client, ("true",), inside=POD)
    async with pods_behind(PodServer(broken=True)) as client:
        with pytest.raises(PodRefused, match="before the command did"):
            await run_in_pod(client, ("true",), inside=POD)
        async with pod_port(client, inside=POD, port=53) as port:
            with pytest.raises(PodRefused, match="connection ended"):
                await port.read_exactly(2)


async def test_a_command_that_says_too_much_is_cut_off() -> None:
    pods = PodServer(commands={"dns-a": lambda words: (b"x" * ((1 << 20) - 1) + b"yz", b"")})
    async with pods_behind(pods) as client:
        with pytest.raises(PodRefused, match="more than 1 MiB"):
            await run_in_pod(client, ("yes",), inside=POD)


async def test_a_dns_server_is_asked_at_its_own_port() -> None:
    async with pods_behind(PodServer(ports={("dns-a", 5353): served})) as client:
        reply, itself = await ask_mesh_pod(client, QUERY, inside=POD, port=5353)
        assert (reply, itself) == (VERSION, Self())
        assert await within(ask_pod(client, QUERY, inside=POD, port=53)) == Unseen(
            "pod meshctl-system/dns-a did not do it: connection refused"
        )


async def test_servers_are_asked_from_inside_a_pod_and_what_cannot_be_read_hides_no_other() -> None:
    def python(words: list[str]) -> tuple[bytes, bytes]:
        assert words[:2] == ["python", "-c"]
        wish = json.loads(words[3])
        good = {"reply": served(bytes.fromhex(wish["packet"])).hex(), "why": "", "ms": 1.0}
        told = [good, {"reply": "", "why": "timed out", "ms": 1.0}, {"reply": "00", "why": "", "ms": 1.0}]
        assert wish["servers"] == [["10.96.0.1", 53], ["10.96.0.2", 53], ["fd00::1", 53]]
        return json.dumps(told).encode(), b""

    pods = PodServer(commands={"dns-a": python})
    async with pods_behind(pods) as client:
        servers = ("10.96.0.1", "10.96.0.2", "fd00::1")
        good, silent, odd = await ask_from(client, QUERY, inside=POD, servers=servers)
        assert (good, silent) == (VERSION, Unseen("timed out"))
        assert isinstance(odd, Unseen) and "cannot be read" in odd.why
        for strange in (b"<html>", b"[" * 100_000):
            pods.commands["dns-a"] = partial(printing, strange)
            told = await within(ask_from(client, QUERY, inside=POD, servers=servers))
            assert isinstance(told, Unseen) and "cannot be read" in told.why


def printing(said: bytes, _words: list[str]) -> tuple[bytes, bytes]:
    """A command that prints this, whatever it is asked."""
    return said, b""


async def test_a_pods_own_look_up_tells_whom_it_asks() -> None:
    config = b"# by hand\nsearch demo.svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n===\n"
    pods = PodServer(commands={"web": lambda words: (config + b"10.0.0.1\n", b"")})
    query, pod = query_for("hello.demo.svc.clusterset.local", type_="A"), Inside("demo", "web")
    async with pods_behind(pods) as client:
        assert await look_up(client, query, inside=pod) == (
            Reply("", ("10.0.0.1",)),
            PodView(("10.96.0.10",)),
        )
        pods.commands["web"] = lambda words: (config + b"no-tool\n", b"")
        with pytest.raises(PodRefused, match="neither getent nor nslookup"):
            await look_up(client, query, inside=pod)

"""`meshctl trace` as a person uses it, on API servers that keep objects and pods that answer."""

import asyncio
import json
import sys
from collections.abc import Callable

import pytest

from mesh_cli.trace import knocking
from mesh_core.names import shadow_service_name
from mesh_fakes.backends import backend
from mesh_fakes.clusters import MESH, make_member
from mesh_fakes.commands import Meshctl, complaint
from mesh_fakes.object_server import Object, ObjectServer

MCS = "multicluster.x-k8s.io/v1beta1"
SHADOW = shadow_service_name(namespace="demo", name="hello")


def calling(west: ObjectServer) -> None:
    """west imports demo/hello from east by one gateway."""
    make_member(west, cluster="west")
    place = {"name": "hello", "namespace": "demo"}
    spec = {"type": "ClusterSetIP", "ips": ["10.96.7.7"], "ports": [{"port": 80, "protocol": "TCP"}]}
    status = {"clusters": [{"cluster": "east"}]}
    west.put("v1", "namespaces", {"metadata": {"name": "demo"}})
    west.put(MCS, "serviceimports", {"metadata": place, "spec": spec, "status": status})
    west.put("v1", "services", {"metadata": {"name": SHADOW, "namespace": "demo"}, "spec": {"ports": []}})
    labels = {
        "multicluster.kubernetes.io/service-name": "hello",
        "multicluster.kubernetes.io/source-cluster": "east",
        "kubernetes.io/service-name": SHADOW,
    }
    meta = {"name": "hello.east.ipv4", "namespace": "demo", "labels": labels}
    meta = {**meta, "annotations": {"meshctl.dev/ready-endpoints": '{"": 1}'}}
    endpoint = {"addresses": ["10.0.0.1"], "conditions": {"ready": True}}
    body = {"metadata": meta, "endpoints": [endpoint], "ports": [{"name": "", "port": 16400}]}
    west.put("discovery.k8s.io/v1", "endpointslices", body)
    west.put(MESH, "meshpeers", {"metadata": {"name": "east"}, "spec": {"gateways": []}})
    pod_of(west, "gateway")
    pod_of(west, "dns")


def pod_of(server: ObjectServer, component: str) -> None:
    labels = {"app.kubernetes.io/part-of": "clusterset-mesh", "app.kubernetes.io/component": component}
    status = {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
    meta = {"name": f"{component}-1", "namespace": "meshctl-system", "labels": labels}
    server.put("v1", "pods", {"metadata": meta, "status": status})


def gateways_say(word: str) -> Callable[[ObjectServer, Object], None]:
    def say(server: ObjectServer, item: Object) -> None:
        if item.get("kind") == "ServiceProbe" and "status" not in item:
            assert item["spec"] | {"until": ""} == {"service": "demo/hello", "cluster": "east", "until": ""}
            status = {"results": [{"gateway": "10.0.0.1", "result": word}]}
            server.put(MESH, "serviceprobes", {"metadata": item["metadata"], "status": status})

    return say


def dialling(*answers: tuple[str, bool]) -> Callable[[list[str]], tuple[bytes, bytes]]:
    """What a mesh-dns pod says of connections: (error, ended) of the gateway's port and of the call."""

    def dial(command: list[str]) -> tuple[bytes, bytes]:
        if "-c" in command and "knock" in command[2]:
            assert json.loads(command[3]) == [["10.0.0.1", 16400, 0], ["10.96.7.7", 80, 2.5]]
            return json.dumps([{"error": error, "ended": ended} for error, ended in answers]).encode(), b""
        return b"[]", b""

    return dial


def traced(meshctl: Meshctl, *more: str) -> dict[str, tuple[str, str]]:
    """State and what was seen, by hop."""
    words = ("trace", "hello.demo", "--from-context", "w", "-o", "json", *more)
    seen = json.loads(meshctl(*words).stdout)
    return {hop["title"]: (hop["state"], hop["seen"]) for hop in seen["hops"]}


def test_gateways_are_asked_and_nothing_of_it_stays(meshctl: Meshctl, west: ObjectServer) -> None:
    calling(west)
    west.reactions.append(gateways_say("OK"))
    west.pods.commands["dns-1"] = dialling(("", False), ("", False))
    seen = traced(meshctl)
    assert [seen[one][0] for one in ("import", "slices", "egress gateway", "tunnel", "call")] == ["ok"] * 5
    assert not [at for at in west.objects if at.plural == "serviceprobes"]


def test_what_a_killed_trace_left_is_swept_and_what_others_ask_for_stays(
    meshctl: Meshctl, west: ObjectServer
) -> None:
    calling(west)
    west.reactions.append(gateways_say("OK"))
    west.pods.commands["dns-1"] = dialling(("", False), ("", False))
    spec = {"service": "demo/hello", "cluster": "east", "until": "2026-01-01T00:00:00Z"}
    for name, manager in (("trace-old", "meshctl"), ("of-the-agent", "agent")):
        labels = {"app.kubernetes.io/managed-by": manager}
        meta = {"name": name, "namespace": "meshctl-system", "labels": labels}
        west.put(MESH, "serviceprobes", {"metadata": meta, "spec": spec, "status": {"results": []}})
    traced(meshctl)
    assert [at.name for at in west.objects if at.plural == "serviceprobes"] == ["of-the-agent"]


def test_the_hop_that_fails_is_the_last_line_and_the_status_is_one(
    meshctl: Meshctl, west: ObjectServer
) -> None:
    calling(west)
    west.reactions.append(gateways_say("NotAllowed: east lets only north in\x1b"))
    west.pods.commands["dns-1"] = dialling(("", False), ("", True))
    result = meshctl("trace", "hello", "-n", "demo", "--from-context", "w", "--context", "dead", "-o", "wide")
    assert result.return_value == 1
    # Here no DNS server answers either, and that comes first on the way.
    assert result.stdout.splitlines()[-1].startswith("it fails at hop 1, name in w")
    (door,) = [line for line in result.stdout.splitlines() if line.startswith("6 ")]
    assert "fail" in door
    assert "NotAllowed: east lets only north in" in door
    assert "dead: the API server" in result.stdout
    assert "\x1b" not in result.stdout


def test_rights_that_are_missing_make_hops_unknown_and_not_broken(
    meshctl: Meshctl, west: ObjectServer
) -> None:
    calling(west)
    for plural in ("meshpeers", "pods"):
        west.refusals[("GET", plural)] = 403, "Forbidden"
    seen = traced(meshctl)
    assert (seen["tunnel"][0], seen["egress gateway"][0], seen["call"][0]) == ("unknown",) * 3


@pytest.mark.parametrize("said", [b"[[[[", b"{}", b'[{"error": 1}]', b"\xff"])
def test_a_dns_pod_that_says_nonsense_makes_the_call_unknown(
    meshctl: Meshctl, west: ObjectServer, said: bytes
) -> None:
    calling(west)
    west.reactions.append(gateways_say("OK"))
    west.pods.commands["dns-1"] = lambda _command: (said, b"")
    assert traced(meshctl)["call"][0] == "unknown"


def test_a_pod_of_ones_own_calls_by_what_it_has(meshctl: Meshctl, west: ObjectServer) -> None:
    calling(west)
    west.reactions.append(gateways_say("OK"))
    west.pods.commands["dns-1"] = dialling(("", False), ("", False))
    west.pods.commands["cart-0"] = lambda _command: (b"no-tool", b'{"status":"Failure","message":"1"}')
    state, seen = traced(meshctl, "--from", "cart-0", "-n", "demo")["call"]
    assert (state, seen) == ("unknown", "pod demo/cart-0 has neither python3, nc nor curl to dial with")


def test_a_name_that_is_none_and_a_cluster_that_is_no_member_are_refused(meshctl: Meshctl) -> None:
    assert "cannot be asked" in complaint(meshctl("trace", "a..b"))
    assert "context w:" in complaint(meshctl("trace", "hello.demo", "--from-context", "w"))


async def knocked(port: int) -> object:
    wish = json.dumps([["127.0.0.1", port, 0.2]])
    words = (sys.executable, knocking.__file__, wish)
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    (found,) = json.loads(output)
    return found


@pytest.mark.asyncio
async def test_a_connection_is_told_as_refused_ended_or_kept_without_a_byte() -> None:
    async def end(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())

    heard: list[bytes] = []
    async with backend(end) as where:
        assert await knocked(where.port) == {"error": "", "ended": True}
    async with backend(listen) as where:
        assert await knocked(where.port) == {"error": "", "ended": False}
    assert heard == [b""]
    found = await knocked(where.port)
    assert isinstance(found, dict)
    assert "refused" in found["error"]

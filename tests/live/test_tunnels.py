"""Two real clusters call each other through tunnels: who dials them, what goes by them, and who is let in."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import pytest

from live.at_rest import at_rest
from live.gateway_view import Page, pages, total
from live.hello import FIELD_MANAGER, Hello, hello_in
from live.nodes import counted_connections
from live.test_first_call import answered, imported, until
from live.test_gateway_door import credentials
from live.test_one_part_down import calling, pods
from mesh_core.identity import Component
from mesh_core.names import ALPN_TUNNEL
from mesh_fakes.bed import Bed
from mesh_fakes.frame_audit import Frame
from mesh_fakes.raw_tunnel import RawTunnel, opening
from mesh_gateway.opening import Opening, Reason, Source, write_message
from mesh_gateway.proxy_header import Field
from mesh_local.names import CLIENT_IMAGE
from mesh_runtime.kube import MESH_PEERS
from mesh_runtime.tls import client_context
from mesh_runtime.trust_dir import load_trust_dir

pytestmark = pytest.mark.asyncio

_GATEWAYS = 2
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_FIRST_OF_OURS = 3  # stream 1 is the tunnel's own conversation


async def both(hello: Hello) -> dict[str, list[Page]]:
    return {
        cluster: await pages(hello.bed, hello.kube(cluster), cluster=cluster) for cluster in ("east", "west")
    }


async def counted(hello: Hello) -> dict[str, list[Page]]:
    """The same of all gateways, once they have counted all there was: a page of metrics is given to whoever
    asks for a moment, so the first one may be from before."""
    seen: dict[str, list[Page]] = {}

    async def counts() -> list[tuple[str, float, float, float]]:
        nonlocal seen
        seen = await both(hello)
        while any(len(found) != _GATEWAYS for found in seen.values()):
            seen = await both(hello)
        names = ("streams_opened_total", "tunnels_opened_total", "refusals_total")
        return [(one, *(total(found, name) for name in names)) for one, found in seen.items()]  # type: ignore[misc]  # three names

    await at_rest(counts)
    return seen


async def settled(hello: Hello) -> None:
    """Returns when each gateway of both clusters has as many tunnels as it dials, and dials no more."""

    async def is_settled() -> bool:
        seen = await both(hello)
        return all(
            len(seen[cluster]) == _GATEWAYS
            and all(page.total("tunnels", peer=peer) >= _GATEWAYS for page in seen[cluster])
            for cluster, peer in (("east", "west"), ("west", "east"))
        )

    await until(is_settled, limit=120)


async def test_after_a_first_call_each_gateway_of_both_clusters_holds_tunnels_to_the_other(
    clusterset: Bed,
) -> None:
    async with calling(clusterset, "tunnels-held") as hello:
        await settled(hello)

        async def are_shown() -> bool:
            shown = clusterset.done(
                *("--kubeconfig", str(clusterset.kubeconfig), "gateways"),
                *("--context", "east", "--context", "west"),
            )
            lines = [line.split() for line in shown.splitlines()]
            # One that another test has stopped may still be draining.
            ready = {line[1] for line in lines if line[2:3] == ["yes"]}
            held = [
                (line[0], line[2], int(line[3]))
                for line in lines
                if line[2:3] in (["east"], ["west"]) and line[1] in ready
            ]
            sides = {(cluster, peer) for cluster, peer, _count in held}
            return sides == {("east", "west"), ("west", "east")} and all(count >= 1 for *_, count in held)

        await until(are_shown)


async def test_calls_are_streams_in_tunnels_and_make_no_connection_of_their_own(clusterset: Bed) -> None:
    async with calling(clusterset, "tunnels-carry") as hello:
        await settled(hello)
        before = await counted(hello)
        with counted_connections(clusterset, "west") as connections:
            answers = hello.calls("west", 20)
            made = connections()
        assert len(answers) == 20 and "failed" not in answers, answers
        assert made == 0, "a call is a stream in a tunnel that stands"
        ways = (("west", "east", "to_peer"), ("east", "west", "from_peer"))
        after = before

        def grown(cluster: str, name: str, **labels: str) -> float:
            return total(after[cluster], name, **labels) - total(before[cluster], name, **labels)

        async def is_counted() -> bool:
            """A page of metrics is given to whoever asks for a moment: the first one may be from before."""
            nonlocal after
            after = await both(hello)
            return all(
                grown(cluster, "streams_opened_total", peer=peer, direction=direction) >= 20
                for cluster, peer, direction in ways
            )

        await until(is_counted)
        for cluster, peer, _ in ways:
            assert grown(cluster, "tunnels_opened_total", peer=peer) == 0
            assert grown(cluster, "refusals_total") == 0
        assert grown("west", "received_bytes_total", peer="east") > 20 * len("hello from east, pod hello-")


async def test_a_namespace_that_is_allowed_gets_in_and_another_is_refused_and_counted(
    clusterset: Bed,
) -> None:
    annotations = {"meshctl.dev/allow": "west/allowed-friend"}
    async with (
        hello_in(clusterset, "allowed-friend") as hello,
        hello_in(clusterset, "allowed-other") as other,
    ):
        await asyncio.gather(hello.deploy("east"), hello.deploy_client("west"), other.deploy_client("west"))
        await hello.east.apply_manifest(
            _export("hello", namespace=hello.namespace, annotations=annotations), field_manager=FIELD_MANAGER
        )
        await until(lambda: imported(hello, "west"))
        await until(lambda: answered(hello, "west"))
        await settled(hello)
        before = await counted(hello)
        assert other.calls("west", 4, host=hello.host) == ["failed"] * 4
        assert "failed" not in hello.calls("west", 4)

        async def is_counted() -> bool:
            after = await both(hello)
            counts = [
                [
                    total(seen[cluster], "refusals_total", reason=Reason.NOT_ALLOWED.value)
                    for seen in (before, after)
                ]
                for cluster in ("east", "west")
            ]
            assert all(new - old <= 4 for old, new in counts), counts
            return all(new - old == 4 for old, new in counts)

        await until(is_counted)
        shown = clusterset.done("--kubeconfig", str(clusterset.kubeconfig), "gateways", "--context", "east")
        assert Reason.NOT_ALLOWED.value in shown


async def test_a_member_that_asks_in_a_tunnel_for_what_is_not_exported_or_not_for_it_is_refused(
    clusterset: Bed,
) -> None:
    async with hello_in(clusterset, "asked-raw") as hello:
        await hello.deploy("east")
        annotations = {"meshctl.dev/allow": "west/somebody"}
        await hello.east.apply_manifest(
            _export("hello", namespace=hello.namespace, annotations=annotations), field_manager=FIELD_MANAGER
        )
        await until(lambda: imported(hello, "west"))
        source = Source(address="10.0.0.1", port=1, namespace="nobody", account="default", pod="x")
        exported = Opening(namespace=hello.namespace, service="hello", port=80, source=source)
        elsewhere = Opening(namespace=hello.namespace, service="nothing", port=80, source=source)
        system = Opening(namespace="default", service="kubernetes", port=443, source=source)
        before = await both(hello)

        async def refused() -> bool:
            async with tunnel_of_west(hello) as tunnel:
                reasons = [
                    await asked(tunnel, one, stream=_FIRST_OF_OURS + 2 * place)
                    for place, one in enumerate((exported, elsewhere, system))
                ]
            return reasons == [Reason.NOT_ALLOWED, Reason.NOT_EXPORTED, Reason.NOT_EXPORTED]

        # The gateway may see the export a moment after west has imported it.
        await until(refused)

        async def is_counted() -> bool:
            after = await both(hello)
            counts = {
                reason: [
                    total(seen["east"], "refusals_total", reason=reason.value) for seen in (before, after)
                ]
                for reason in (Reason.NOT_ALLOWED, Reason.NOT_EXPORTED)
            }
            grown = {reason: new - old for reason, (old, new) in counts.items()}
            return grown[Reason.NOT_ALLOWED] >= 1 and grown[Reason.NOT_EXPORTED] >= 2

        await until(is_counted)


async def test_a_backend_that_asks_for_it_is_told_who_calls_ruling_23(clusterset: Bed) -> None:
    async with hello_in(clusterset, "told-who") as hello:
        await hello.deploy_client("west")
        for manifest in _listener(hello.namespace):
            await hello.east.apply_manifest(manifest, field_manager=FIELD_MANAGER)
        # A connection that is begun before kube-proxy knows the address is never translated, however often
        # its SYN is sent again: it has to be given up.
        where = "TCP4:told.told-who.svc.clusterset.local:80,connect-timeout=2"
        ask = f"printf payload | socat -t 5 - {where} 2>/dev/null || true"
        got = b""

        async def told() -> bool:
            nonlocal got
            got = base64.b64decode(await asyncio.to_thread(hello.ask, "west", ask))
            return got.endswith(b"payload")

        await until(told, limit=120)
        assert got.startswith(_SIGNATURE + b"\x21\x11"), got
        length = int.from_bytes(got[14:16], "big")
        addresses, fields = got[16:28], _fields(got[28 : 16 + length])
        assert got[16 + length :] == b"payload", "and nothing else comes before the first byte"
        gateways = {pod["status"]["podIP"] for pod in pods(clusterset, "east", "gateway")}
        assert ".".join(map(str, addresses[:4])) in gateways, "of another network: not the caller's own"
        client = hello.ask("west", "hostname").strip()
        assert fields[Field.CLUSTER] == "west"
        assert fields[Field.NAMESPACE] == hello.namespace
        assert fields[Field.ACCOUNT] == "default"
        assert fields[Field.POD] == client
        assert fields.keys() == {Field.CLUSTER, Field.NAMESPACE, Field.ACCOUNT, Field.POD, Field.ADDRESS}


@asynccontextmanager
async def tunnel_of_west(hello: Hello) -> AsyncIterator[RawTunnel]:
    """A tunnel to east with a certificate of west's, in which a test says what it likes."""
    trust = load_trust_dir(hello.bed.trust)
    own = credentials(hello.bed.stand_in("west"), domain=trust.domain, component=Component.GATEWAY)
    context: ssl.SSLContext = client_context(own, roots=[trust.root_pem], alpn=[ALPN_TUNNEL])
    peer = await hello.west.get(MESH_PEERS, "east")
    address = peer.spec.gateways[0]
    async with asyncio.timeout(90):
        reader, writer = await asyncio.open_connection(
            address.host, address.port, ssl=context, server_hostname=f"gateway.east.{trust.domain}"
        )
        try:
            tunnel = RawTunnel(reader, writer)
            await tunnel.hello("west")
            yield tunnel
        finally:
            writer.transport.abort()


async def asked(tunnel: RawTunnel, wanted: Opening, *, stream: int) -> Reason | None:
    """Why the other end does not give it; None when it does."""
    frame: Frame = opening(stream, message=write_message(wanted))
    tunnel.send(frame)
    answer = await tunnel.answer(stream)
    return Reason(answer.reason) if answer is not None and answer.reason else None


def _fields(data: bytes) -> dict[int, str]:
    """The fields behind the addresses of a header, by type (proxy-protocol.txt, section 2.2)."""
    found: dict[int, str] = {}
    while data:
        length = int.from_bytes(data[1:3], "big")
        found[data[0]] = data[3 : 3 + length].decode()
        data = data[3 + length :]
    return found


def _export(name: str, *, namespace: str, annotations: dict[str, str]) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace, "annotations": annotations}
    return {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "metadata": meta}


def _listener(namespace: str) -> list[dict[str, Any]]:
    """`told`, which answers with all that it got, in base64, once the caller has said all."""
    labels = {"app": "told"}
    container = {
        "name": "main",
        "image": f"{CLIENT_IMAGE}:{version('clusterset-mesh')}",
        "imagePullPolicy": "IfNotPresent",
        "command": ["socat", "TCP-LISTEN:8080,reuseaddr,fork", "SYSTEM:base64 -w 0"],
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    meta = {"name": "told", "namespace": namespace}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": labels, "ports": [{"name": "t", "port": 80, "targetPort": 8080}]},
        },
        _export("told", namespace=namespace, annotations={"meshctl.dev/proxy-protocol": "v2"}),
    ]

"""`meshctl gateways` as a person uses it, on API servers that pass on what pods answer."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mesh_cli.main import command
from mesh_fakes.clusters import bare_cluster, make_member
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig
from mesh_gateway.metrics import Direction, GatewayMetrics, Where
from mesh_gateway.metrics_page import Readings, metrics_page
from mesh_gateway.opening import Reason

Meshctl = Callable[..., Result]
LABELS = {"app.kubernetes.io/part-of": "clusterset-mesh", "app.kubernetes.io/component": "gateway"}


def put_pod(
    server: ObjectServer, name: str, *, phase: str = "Running", ready: bool = True, component: str = "gateway"
) -> None:
    labels = {**LABELS, "app.kubernetes.io/component": component}
    meta = {"name": name, "namespace": "meshctl-system", "labels": labels}
    status = {"phase": phase, "containerStatuses": [{"ready": ready}]}
    server.put("v1", "pods", {"metadata": meta, "status": status})


def answers(server: ObjectServer, pod: str, page: bytes) -> None:
    """From now on `pod` answers with this page."""
    server.proxied[f"/api/v1/namespaces/meshctl-system/pods/{pod}:15480/proxy/metrics"] = page


def page() -> bytes:
    metrics = GatewayMetrics()
    metrics.stream_opened("west", direction=Direction.TO_PEER)
    metrics.tunnel_up("west")
    metrics.rtt("west", seconds=0.01)
    metrics.refused(Where.INGRESS, reason=Reason.NOT_ALLOWED)
    return metrics_page(metrics.numbers, readings=Readings(ready=True, connections=1))


@pytest.fixture
def east() -> ObjectServer:
    server = bare_cluster("east")
    make_member(server, cluster="east")
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


def test_every_gateway_of_the_current_context_is_asked(meshctl: Meshctl, east: ObjectServer) -> None:
    for name in ("gw-b", "gw-a"):
        put_pod(east, name)
        answers(east, name, page())
    put_pod(east, "controller-a", component="controller")
    put_pod(east, "gw-evicted", phase="Failed", ready=False)
    result = meshctl("gateways")
    assert result.exception is None, result.exception
    lines = result.stdout.splitlines()
    assert [line.split()[:4] for line in lines[1:3]] == [
        ["east", "gw-a", "yes", "1"],
        ["east", "gw-b", "yes", "1"],
    ]
    assert ["east", "gw-a", "ingress", "NotAllowed", "1"] in [line.split() for line in lines]
    assert "controller-a" not in result.stdout
    assert "gw-evicted" not in result.stdout
    assert result.return_value == 0


def test_a_gateway_that_does_not_answer_hides_no_other_and_ends_with_status_1(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    put_pod(east, "gw-a")
    answers(east, "gw-a", page())
    put_pod(east, "gw-b")
    put_pod(east, "gw-c")
    answers(east, "gw-c", b"<html>not ours</html>\n")
    put_pod(east, "gw-d", phase="Pending", ready=False)
    result = meshctl("gateways", "--context", "e", "--context", "dead", "-o", "json")
    seen, dead = json.loads(result.stdout)["clusters"]
    good, silent, foreign, pending = seen["gateways"]
    assert good["peers"][0]["peer"] == "west"
    assert "503" in silent["error"]
    assert foreign["error"].startswith("its metrics cannot be read (")
    assert (pending["ready"], pending["error"]) == (False, "its pod is Pending")
    assert "does not answer" in dead["error"]
    assert result.return_value == 1
    below = meshctl("gateways").stdout.splitlines()[-3:]
    assert [line.split(":")[1] for line in below] == [" gateway gw-b", " gateway gw-c", " gateway gw-d"]


def test_a_cluster_without_a_gateway_is_said_so(meshctl: Meshctl) -> None:
    result = meshctl("gateways")
    assert result.stdout == "e: there is no gateway; run meshctl join for this cluster\n"
    assert result.return_value == 1


def test_a_page_without_end_is_not_read_to_its_end(meshctl: Meshctl, east: ObjectServer) -> None:
    put_pod(east, "gw-a")
    answers(east, "gw-a", b"#" * (17 << 20))
    result = meshctl("gateways", "-o", "json")
    assert "more than 16 MiB" in json.loads(result.stdout)["clusters"][0]["gateways"][0]["error"]

"""`meshctl status` and `status --watch` as a person types them, on API servers that keep objects."""

import asyncio
import json
import os
import pty
import re
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from mesh_cli.paint import plain
from mesh_cli.status.survey import Survey
from mesh_cli.status.watching import watch
from mesh_core.contact_lease import ACKNOWLEDGED_AT, ACKNOWLEDGED_REVISION
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.clusters import make_member
from mesh_fakes.commands import Meshctl, done, join
from mesh_fakes.object_server import Object, ObjectServer, served, write_kubeconfig
from mesh_runtime.clock import utc_now

LIMIT = 90.0


def with_peer(server: ObjectServer, *, acknowledged: str) -> None:
    """A peer that is connected and was heard just now, and whose words were acknowledged then."""
    now = utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    connected = {
        "type": "Connected",
        "status": "True",
        "reason": "Synced",
        "message": "",
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }
    path = {"address": "10.1.0.4", "reachable": True, "tunnel": "Up", "rttMicroseconds": 1520}
    peer: Object = {
        "kind": "MeshPeer",
        "metadata": {"name": "north"},
        "spec": {"gateways": [{"host": "192.0.2.7", "port": 15443}]},
        "status": {"exports": 3, "conditions": [connected], "gateways": [path]},
    }
    server.put("meshctl.dev/v1alpha1", "meshpeers", peer)
    lease: Object = {
        "kind": "Lease",
        "metadata": {
            "name": "peer-north",
            "namespace": SYSTEM_NAMESPACE,
            "annotations": {ACKNOWLEDGED_AT: acknowledged, ACKNOWLEDGED_REVISION: "42"},
        },
        "spec": {"renewTime": now},
    }
    server.put("coordination.k8s.io/v1", "leases", lease)


def the_link(meshctl: Meshctl) -> dict[str, object]:
    shown = json.loads(done(meshctl("status", "--context", "e", "-o", "json")))
    (peer,) = shown["clusters"][0]["peers"]
    assert isinstance(peer, dict)
    return peer


def test_an_open_socket_with_old_knowledge_behind_it_is_stale(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    """The condition says connected, the last word is of this second, and the revision is an hour old."""
    done(join(meshctl, trust))
    with_peer(east, acknowledged="2026-03-01T12:00:00Z")
    found = the_link(meshctl)
    assert (found["link"], found["rttMs"]) == ("stale", 1.52)
    assert "(revision 42)" in str(found["why"])
    text = done(meshctl("status", "--context", "e"))
    assert re.search(r"^east +north +stale", text, re.MULTILINE)
    assert "links: 1 stale" in text


def test_a_link_whose_last_revision_was_acknowledged_just_now_is_up(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    done(join(meshctl, trust))
    with_peer(east, acknowledged=utc_now().isoformat())
    found = the_link(meshctl)
    assert (found["link"], found["why"]) == ("up", None)


def test_the_certificates_of_a_member_are_shown_with_their_ends(meshctl: Meshctl, trust: str) -> None:
    done(join(meshctl, trust))
    shown = json.loads(done(meshctl("status", "--context", "e", "-o", "json")))["clusters"][0]
    assert [one["what"] for one in shown["certificates"]] == ["intermediate of east", "root"]
    assert not any(one["nearExpiry"] for one in shown["certificates"])
    assert "intermediate of east" in done(meshctl("status", "--context", "e", "-o", "wide"))


def test_a_cluster_that_does_not_answer_hides_no_other_and_ends_with_1(meshctl: Meshctl, trust: str) -> None:
    done(join(meshctl, trust))
    result = meshctl("status", "--context", "e", "--context", "dead")
    assert result.return_value == 1
    assert "1 of 2 members" in result.stdout
    assert "dead: the API server at http://127.0.0.1:9 does not answer" in result.stdout


@pytest.mark.looptime
@pytest.mark.asyncio
async def test_watching_looks_every_so_often_until_it_is_ended() -> None:
    drawn: list[float] = []
    ended, now = asyncio.Event(), asyncio.get_running_loop().time
    began = now()

    class Screen:
        def draw(self, survey: Survey) -> None:
            drawn.append(now() - began)

    async def ask() -> Survey:
        await asyncio.sleep(0.5)
        return Survey(at="", clusters=())

    asyncio.get_running_loop().call_later(6, ended.set)
    await watch(ask, screen=Screen(), ended=ended, every=2)
    assert drawn == pytest.approx([0.5, 3.0, 5.5])
    assert now() - began == pytest.approx(6)


@pytest.fixture
def kubeconfig(tmp_path: Path, east: ObjectServer) -> Iterator[Path]:
    make_member(east, cluster="east")
    with served(east) as server:
        yield write_kubeconfig(tmp_path / "kubeconfig", servers={"e": server.url}, current="e")


def command(kubeconfig: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "mesh_cli", "--kubeconfig", str(kubeconfig), "status", "--watch", *words]


def test_into_a_pipe_go_whole_blocks_and_nothing_for_a_screen(kubeconfig: Path) -> None:
    words = command(kubeconfig, "--every", "0.2")
    with Popen(words, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        heads, lines = 0, []
        for line in process.stdout:
            lines.append(line)
            heads += line.startswith("CLUSTER   CONTEXT")
            if heads == 3:
                break
        process.kill()
    assert not any("\x1b" in line for line in lines)


@contextmanager
def on_a_terminal(words: list[str]) -> Iterator[tuple[Popen[bytes], int]]:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150", "LINES": "40"}
    with Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        try:
            yield process, ours
        finally:
            process.kill()
            os.close(ours)


def read_until(number: int, wanted: str) -> str:
    found, end = b"", time.monotonic() + LIMIT
    while wanted not in plain(found.decode(errors="replace")):
        assert time.monotonic() < end, found
        if select.select([number], [], [], 0.5)[0]:
            found += os.read(number, 65536)
    return found.decode(errors="replace")


def test_on_a_terminal_it_has_a_screen_of_its_own_until_q(kubeconfig: Path) -> None:
    with on_a_terminal(command(kubeconfig)) as (process, terminal):
        shown = read_until(terminal, "q ends this")
        assert "\x1b[?1049h" in shown, "a screen of its own"
        assert "of 1 members" in plain(shown)
        os.write(terminal, b"q")
        assert "\x1b[?1049l" in read_until(terminal, "\x1b[?1049l"), "and back"
        assert process.wait(LIMIT) == 0

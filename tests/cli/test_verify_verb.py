"""`meshctl verify`: what it refuses before it makes anything, what it cleans, and its pod's own text."""

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from mesh_cli.verify import inside
from mesh_fakes.clusters import make_member
from mesh_fakes.commands import Meshctl, complaint, done
from mesh_fakes.object_server import ObjectServer

LABELS = {"meshctl.dev/verify": "r"}


def test_it_takes_two_members_and_an_image_and_makes_nothing_before(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    assert "give --context twice" in complaint(meshctl("verify", "--context", "e"))
    assert "context e:" in complaint(meshctl("verify", "--context", "e", "--context", "w"))
    make_member(east, cluster="east")
    make_member(west, cluster="west")
    before = east.versions(), west.versions()
    refused = complaint(meshctl("verify", "--context", "e", "--context", "w"))
    assert "give --image" in refused
    assert (east.versions(), west.versions()) == before


def test_clean_removes_our_namespaces_and_no_other_that_has_the_label(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    for name in ("meshctl-verify-a", "meshctl-verify-b", "shop"):
        east.put("v1", "namespaces", {"metadata": {"name": name, "labels": LABELS}})
    east.put("v1", "namespaces", {"metadata": {"name": "meshctl-verify-mine"}})
    assert "nothing of meshctl verify is left" in done(meshctl("verify", "--clean", "--context", "e"))
    names = {at.name for at in east.objects if at.plural == "namespaces"}
    assert names == {"kube-system", "shop", "meshctl-verify-mine"}


def test_a_cluster_that_cannot_be_cleaned_is_said_so(meshctl: Meshctl, east: ObjectServer) -> None:
    east.refusals[("GET", "namespaces")] = 403, "Forbidden"
    assert "run it again" in complaint(meshctl("verify", "--clean", "--context", "e"))


def test_pods_that_do_not_start_end_the_run_and_nothing_stays(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer, tmp_path: Path
) -> None:
    for server, cluster in ((east, "east"), (west, "west")):
        make_member(server, cluster=cluster)
    # The fake forbids pods, as an admission policy of the cluster may.
    west.refusals[("PATCH", "pods")] = 403, "Forbidden"
    words = ("verify", "--context", "e", "--context", "w", "--image", "i", "--junit", str(tmp_path / "j"))
    assert "(403 Forbidden)" in complaint(meshctl(*words))
    for server in (east, west):
        assert not [at for at in server.objects if at.name.startswith("meshctl-verify")]
    assert not (tmp_path / "j").exists()


def free_port() -> int:
    with socket.socket(socket.AF_INET6) as one:
        one.bind(("::", 0))
        return int(one.getsockname()[1])


async def asked(*wishes: dict[str, object]) -> list[dict[str, Any]]:
    words = (sys.executable, inside.__file__, "call", json.dumps(wishes))
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    found: list[dict[str, Any]] = json.loads(output)
    return found


@pytest.mark.asyncio
async def test_the_pods_text_serves_and_calls_and_says_what_failed() -> None:
    port, unused = free_port(), free_port()
    words = (sys.executable, inside.__file__, "serve", "east", str(port))
    server = await asyncio.create_subprocess_exec(*words)
    try:
        wish = {"host": "localhost", "port": port, "size": 64, "patience": 10, "times": 1}
        refused = {**wish, "port": unused, "patience": 0}
        many, large = {**wish, "times": 5}, {**wish, "size": 1_000_000}
        first, again, big, nobody, name = await asked(wish, many, large, refused, {**wish, "port": 0})
        assert {one["cluster"] for one in (first, again, big)} == {"east"}
        assert "refused" in nobody["error"]
        assert name["addresses"]
        assert "error" not in name
    finally:
        server.terminate()
        await server.wait()


@pytest.mark.asyncio
async def test_a_request_or_an_answer_without_end_is_not_held_in_the_pod() -> None:
    port = free_port()
    words = (sys.executable, inside.__file__, "serve", "east", str(port))
    server = await asyncio.create_subprocess_exec(*words)
    try:
        wish = {"host": "localhost", "port": port, "size": 64, "patience": 10, "times": 1}
        assert (await asked(wish))[0]["cluster"] == "east"
        reader, writer = await asyncio.open_connection("localhost", port)
        writer.write((inside.MOST + 1).to_bytes(4, "big"))
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()
    finally:
        server.terminate()
        await server.wait()

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'"' + b"x" * 1_000_000)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, "::", port):
        (endless,) = await asked({**wish, "patience": 0})
    assert "cluster" not in endless
    assert "error" in endless


def test_a_suite_that_is_none_is_wrong_usage(meshctl: Meshctl) -> None:
    assert isinstance(meshctl("verify", "--only", "luck").exception, click.UsageError)

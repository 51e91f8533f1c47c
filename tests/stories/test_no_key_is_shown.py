"""Members join, connect and get leaves, and of no key that is made on the way a trace is left to be read.

Logs at their most talkative, and every object of the API but Secrets, as `kubectl get -o yaml` would show it.
"""

import asyncio
import json
import logging
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from mesh_cli.main import command
from mesh_core.identity import Component
from mesh_core.signing import CONTROLLER_ACCOUNT
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.clusters import bare_cluster, with_controllers
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.controller_trust import trust_scene
from mesh_fakes.members import new_member
from mesh_fakes.object_server import served, write_kubeconfig
from mesh_fakes.shown_keys import Keys, marks_in, recorded
from mesh_fakes.waiting import until
from mesh_runtime.leaf_request import RequestedLeaf
from mesh_runtime.log import _LineFormatter
from mesh_runtime.pem import key_to_pem
from mesh_runtime.pki import new_key
from mesh_runtime.tls import Credentials

GATEWAY = CONTROLLER_ACCOUNT.replace("controller", "gateway")


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """All that was logged: the lines as our programs write them, and every field of every record."""
    form = _LineFormatter()
    lines = [form.format(record) + repr(vars(record)) for record in caplog.records]
    assert len(lines) > 5, "nothing was logged, so nothing was looked at"
    return "\n".join(lines)


def readable(api: FakeApiServer) -> str:
    """All objects but Secrets, as YAML and JSON, and what became of them in time."""
    kept = [(key, item) for key, item in api._objects.items() if not key[0].endswith("secrets")]
    assert len(kept) > 2
    history = [event.item for event in api._events if not event.collection.endswith("secrets")]
    text = "\n".join(yaml.safe_dump(item) + json.dumps(item) for _, item in kept)
    return text + json.dumps(history, default=str)


@pytest.mark.parametrize("form", ["pem", "base64", "hex", "number", "repr"])
def test_what_searches_finds(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Field-notes: a test that finds nothing has to prove that it could."""
    with recorded(monkeypatch) as keys:
        key = new_key()
        pem = key_to_pem(key)
        raw = key.private_numbers().private_value
        text = {
            "pem": pem.decode(),
            "base64": "".join(pem.decode().splitlines()[1:-1]),
            "hex": f"x{raw:064x}x",
            "number": str(raw),
            "repr": repr({"key_pem": pem}),
        }[form]
    assert keys.shown_in(f"some words {text} more words")
    assert not keys.shown_in("some words")


def test_credentials_and_secrets_do_not_show_in_a_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded(monkeypatch) as keys:
        clusterset = FakeClusterset()
        shown = [clusterset.credentials("east"), clusterset.root, clusterset.member("east")]
    assert isinstance(shown[0], Credentials)
    assert keys.shown_in(repr(shown)) == []
    assert keys.shown_in(f"{shown}") == []


@pytest.mark.asyncio
async def test_a_controller_that_makes_its_intermediate_and_signs_leaves_shows_no_key(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    with recorded(monkeypatch) as keys:
        async with trust_scene(ago=timedelta(hours=1)) as scene:
            await scene.joined()
            issuer = RequestedLeaf(scene.api.client(GATEWAY), limit=20.0)
            got = await issuer.issue(identity("west", Component.GATEWAY))
            assert got.key_pem
        assert len(keys.made) >= 4, "root, intermediate, the controller's leaf, the gateway's leaf"
        assert_nothing_shown(keys, logged(caplog), readable(scene.api))


@pytest.mark.asyncio
async def test_two_members_that_connect_and_share_show_no_key(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    with recorded(monkeypatch) as keys:
        clusterset = FakeClusterset()
        east, west = (new_member(name, clusterset=clusterset) for name in ("east", "west"))
        west.service()
        west.endpoints("10.2.0.1")
        west.export()
        async with asyncio.timeout(180), east.running(), west.running():
            east.knows(west)
            await until(lambda: east.imported() is not None, limit=90)
        assert len(keys.made) >= 5
        assert_nothing_shown(keys, logged(caplog), readable(east.api), readable(west.api))


def test_the_commands_print_no_key_and_its_files_are_for_their_owner_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    server = with_controllers(bare_cluster("east"))
    trust, out = tmp_path / "trust", ""
    with recorded(monkeypatch) as keys, served(server) as running:
        file = write_kubeconfig(tmp_path / "kubeconfig", servers={"e": running.url}, current="e")
        for words in (
            ("trust", "init", "--dir", str(trust)),
            ("join", "--cluster-id", "east", "--trust", str(trust), "--service-type", "nodeport"),
            ("status", "-o", "json"),
            ("check", "-o", "json"),
        ):
            ended = CliRunner().invoke(command, ["--kubeconfig", str(file), *words], standalone_mode=False)
            assert ended.exception is None, ended.exception
            out += ended.output
    assert_nothing_shown(keys, out, "\n".join(map(repr, caplog.records)))
    assert_nothing_shown(
        keys, json.dumps([item for at, item in server.objects.items() if at.plural != "secrets"])
    )
    secret = [
        path for path in tmp_path.rglob("*") if path.is_file() and marks_in(path.read_text(errors="replace"))
    ]
    assert secret, "the root's key must be somewhere"
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}


def assert_nothing_shown(keys: Keys, *texts: str) -> None:
    for text in texts:
        assert keys.shown_in(text) == []

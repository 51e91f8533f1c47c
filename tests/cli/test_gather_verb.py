"""`meshctl gather`: no byte of a secret gets into the bundle, and what is broken hides nothing that is
not."""

import asyncio
import base64
import io
import json
import ssl
import tarfile
from datetime import timedelta
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_cli.gather import bundle as bundles
from mesh_cli.gather import reading
from mesh_cli.gather.bundle import Bundle, archive, safe
from mesh_cli.gather.plan import Wanted
from mesh_cli.gather.redact import TAKEN, redacted, scrub
from mesh_fakes.clusters import MESH, make_member
from mesh_fakes.commands import Meshctl, complaint, done
from mesh_fakes.object_server import ObjectServer
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import connect_at

MCS = "multicluster.x-k8s.io/v1beta1"
SYSTEM = "meshctl-system"
CANARY = "canary7Q2x9Zk4Lm8Vt1"
ENCODED = base64.b64encode(CANARY.encode()).decode()
PART = {"app.kubernetes.io/part-of": "clusterset-mesh"}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "inner"}, "data": {"key": ENCODED}}
PEM = f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"


def unpacked(file: Path) -> dict[str, str]:
    """Content by path, below the one folder."""
    with tarfile.open(file) as tar:
        found = {}
        for entry in tar.getmembers():
            content = tar.extractfile(entry)
            assert content is not None
            found[entry.name.partition("/")[2]] = content.read().decode()
        return found


def pod(name: str, *, labels: dict[str, str] | None = None) -> dict[str, Any]:
    env = [{"name": "DATABASE", "value": CANARY}, {"name": "MESHCTL_LIMIT", "value": "7"}]
    container = {"name": "gateway", "env": env, "args": [f"--token={CANARY}", "--verbose"]}
    status = {"phase": "Running", "containerStatuses": [{"name": "gateway", "restartCount": 1}]}
    meta = {"name": name, "namespace": SYSTEM, "labels": PART if labels is None else labels}
    return {"metadata": meta, "spec": {"containers": [container]}, "status": status}


def with_canaries(server: ObjectServer) -> None:
    """A member in which the canary lies in every place that we know of."""
    make_member(server, cluster="east")
    last_applied = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(SECRET), "note": CANARY}
    server.put("v1", "secrets", {"metadata": {"name": "s", "namespace": SYSTEM}, "data": {"key": ENCODED}})
    export = {"name": "hello", "namespace": "demo", "annotations": last_applied}
    said = [{"type": "Ready", "status": "False", "message": f"refused: Authorization: Bearer {CANARY}"}]
    server.put(MCS, "serviceexports", {"metadata": export, "status": {"conditions": said}})
    work = {"workload": {"manifests": [SECRET, {**pod("x"), "apiVersion": "v1", "kind": "Pod"}]}}
    server.put("multicluster.x-k8s.io/v1alpha1", "works", {"metadata": {"name": "w"}, "spec": work})
    server.put("v1", "pods", pod("gateway-1"))
    server.put("v1", "pods", pod("a-guest", labels={}))
    guest = {"metadata": {"name": "guest", "namespace": SYSTEM}, "data": {"key": CANARY}}
    server.put("v1", "configmaps", guest)
    event = {"metadata": {"name": "e", "namespace": SYSTEM}, "message": f"https://me:{CANARY}@example.test"}
    server.put("v1", "events", event)
    server.put(MESH, "meshpeers", {"metadata": {"name": "west"}, "spec": {"comment": f"{PEM} and more"}})
    logs = f"/api/v1/namespaces/{SYSTEM}/pods/gateway-1/log"
    server.proxied[logs] = f'a line\ntoken="{CANARY}"\npassword: {CANARY}\nmeshctl1.{CANARY}\n'.encode()
    metrics = f"/api/v1/namespaces/{SYSTEM}/pods/gateway-1:15480/proxy/metrics"
    server.proxied[metrics] = f'up{{path="x?api_key={CANARY}"}} 1\n'.encode()


def test_no_byte_of_a_secret_is_in_the_bundle_wherever_it_lay(
    meshctl: Meshctl, east: ObjectServer, tmp_path: Path
) -> None:
    with_canaries(east)
    before = east.versions()
    file = tmp_path / "bundle.tar.gz"
    output = done(meshctl("gather", "--context", "e", "--out", str(file)))
    found = unpacked(file)
    for path, text in found.items():
        assert CANARY not in text, path
        assert ENCODED not in text, path
    assert CANARY not in output
    assert east.versions() == before
    assert file.stat().st_mode & 0o777 == 0o600
    # And it is a bundle: what is no secret is in it.
    assert "hello" in found["e/objects/serviceexports.multicluster.x-k8s.io.yaml"]
    assert "inner" in found["e/objects/works.multicluster.x-k8s.io.yaml"]
    assert "a line" in found["e/logs/gateway-1.gateway.log"]
    assert "a line" in found["e/logs/gateway-1.gateway.previous.log"]
    assert "MESHCTL_LIMIT" in found["e/objects/pods.yaml"]
    assert "--verbose" in found["e/objects/pods.yaml"]
    assert "a-guest" not in found["e/objects/pods.yaml"]
    assert json.loads(found["e/secrets.json"])[0]["name"] == "s"
    assert "v1.99.0" in found["e/version.json"]
    listed = {one["path"] for one in json.loads(found["MANIFEST.json"])["files"]}
    assert listed == set(found) - {"MANIFEST.json"}


def test_what_is_down_or_forbidden_is_noted_and_hides_nothing(
    meshctl: Meshctl, east: ObjectServer, tmp_path: Path
) -> None:
    with_canaries(east)
    east.proxied.clear()
    east.refusals[("GET", "meshpeers")] = 500, "InternalError"
    east.refusals[("GET", "secrets")] = 403, "Forbidden"
    file = tmp_path / "bundle.tar.gz"
    output = done(meshctl("gather", "--context", "dead", "--context", "e", "--out", str(file)))
    found = unpacked(file)
    missing = {one["what"]: one["why"] for one in json.loads(found["MANIFEST.json"])["missing"]}
    assert "does not answer" in missing["dead"]
    assert "500" in missing["e/objects/meshpeers.meshctl.dev.yaml"]
    assert "403" in missing["e/secrets.json"]
    assert "503" in missing["e/logs/gateway-1.gateway.log"]
    assert "e/objects/serviceexports.multicluster.x-k8s.io.yaml" in found
    assert "not in it: dead" in output


def test_where_nobody_answers_no_file_is_written(meshctl: Meshctl, tmp_path: Path) -> None:
    file = tmp_path / "bundle.tar.gz"
    refused = complaint(meshctl("gather", "--context", "dead", "--out", str(file)))
    assert "nothing could be gathered" in refused
    assert list(tmp_path.glob("bundle*")) == []


def test_a_file_that_is_there_is_not_overwritten(meshctl: Meshctl, tmp_path: Path) -> None:
    file = tmp_path / "bundle.tar.gz"
    file.write_text("mine")
    assert "is there already" in complaint(meshctl("gather", "--out", str(file)))
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        PEM.replace("PRIVATE", "EC PRIVATE"),
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
        f"Bearer {CANARY}",
        f"eyJhbGciOiJSUzI1NiJ9.{CANARY}.{CANARY}",
        f"meshctl1.{CANARY}",
        f"client_secret={CANARY}",
        f'{{"password": "{CANARY}"}}',
        f"DB-PASSWORD='{CANARY} {CANARY}'",
        f"https://user:{CANARY}@host/path",
        f"LS0tLS1CRUdJTi{CANARY}",
        f'"said": "password=\\"{CANARY}\\""',
        f'{{"inner": "{{\\"token\\": \\"{CANARY} {CANARY}\\"}}"}}',
        f"clientSecret: {CANARY}",
        f"https://{CANARY}@host/path",
    ],
)
def test_what_looks_like_a_secret_is_taken_out_of_any_text(text: str) -> None:
    assert CANARY not in scrub(f"before {text} after")
    assert scrub(f"before {text} after").startswith("before ")


@pytest.mark.parametrize(
    "part", ["1", "a-", "A_", "eyJ-", "eyJaaaaaaaa-", "token=", "secret", "://", 'key=\\"']
)
def test_no_text_takes_longer_than_in_proportion_to_its_length(part: str) -> None:
    """Before, 20,000 such characters took seconds, and what a tenant may write a day, past every limit."""
    text = part * (400_000 // len(part))
    began = process_time()
    scrub(text)
    assert process_time() - began < 20


def test_what_a_patch_sets_and_a_field_called_as_a_secret_is_not_shown() -> None:
    patch = {"op": "replace", "path": "/data/key", "value": [{"name": "DATABASE", "value": CANARY}]}
    half = {"kind": "Secret", "stringData": {"key": CANARY}}
    found = redacted({"spec": {"overrides": [patch], "manifests": [half], "adminPassword": CANARY}})
    assert CANARY not in json.dumps(found)
    assert found["spec"]["overrides"][0]["path"] == "/data/key"
    reference = {"kind": "Secret", "name": "its-name"}
    assert redacted({"spec": {"of": reference}})["spec"]["of"] == reference


def test_of_very_large_objects_a_list_takes_no_more_than_one_answer_may_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = 0

    async def read(*_: object, **__: object) -> bytes:
        nonlocal asked
        asked += 1
        item = {"metadata": {"name": f"e-{asked}", "annotations": {"note": "x" * 20_000}}}
        return json.dumps({"metadata": {"continue": "more"}, "items": [item]}).encode()

    monkeypatch.setattr(reading._Gatherer, "_read", read)
    monkeypatch.setattr(reading, "_LARGEST_ANSWER", 60_000)
    made = Bundle()

    async def listed() -> None:
        async with connect_at("http://127.0.0.1:1", tls=ssl.create_default_context()) as client:
            since = timedelta(hours=1)
            gatherer = reading._Gatherer(client, context="e", bundle=made, clock=utc_now, since=since)
            await gatherer._list(Wanted("exports", "/exports", "ServiceExport"))

    asyncio.run(listed())
    assert asked == 3
    assert made.missing == [("e/objects/exports.yaml", "only the first 3 objects are in it")]


def test_a_bootstrap_token_is_one_and_a_host_name_is_none() -> None:
    assert "abcdef" not in scrub("abcdef.0123456789abcdef")
    plain = "hello.demo.svc.clusterset.local 10.96.0.1:80 secretName tokens=3 the token is gone"
    assert scrub(plain).replace(TAKEN, "3") == plain


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
STEP = st.sampled_from(["spec", "template", "items", "status", "env", "annotations", "metadata"])


@given(JSON, st.lists(STEP, max_size=6), st.booleans())
def test_a_secret_in_an_object_shows_nothing_however_deep_it_lies(
    around: Any, way: list[str], listed: bool
) -> None:
    item: Any = {
        "kind": "Secret",
        "metadata": {"name": "n"},
        "data": {"k": CANARY},
        "x": [CANARY],
        "y": around,
    }
    for step in way:
        item = {step: [item] if listed else item, "beside": around}
    assert CANARY not in json.dumps(redacted(item if isinstance(item, dict) else {}))


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_no_name_leads_out_of_the_folder(parts: list[str]) -> None:
    path = safe(*parts)
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))
    assert path.isascii()


def test_a_bundle_has_bounds_and_says_what_it_left_out() -> None:
    made = Bundle()
    made.put("long", b"x" * (bundles.MOST_OF_A_FILE + 1))
    for number in range(bundles.MOST_OF_ALL // bundles.MOST_OF_A_FILE):
        made.put(f"more-{number}", b"x" * bundles.MOST_OF_A_FILE)
    assert made.size <= bundles.MOST_OF_ALL
    assert [what for what, _ in made.missing] == ["long", "more-15"]
    small = Bundle()
    small.put("a", "text")
    first, second = (archive(small, folder="f", head={}, at=1) for _ in range(2))
    assert first == second
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        assert [(one.name, one.mode) for one in tar] == [("f/MANIFEST.json", 0o600), ("f/a", 0o600)]

"""`meshctl trust rotate`: to the end, killed anywhere and resumed, and with a member that does not answer."""

import asyncio
import base64
from contextlib import suppress
from io import StringIO
from pathlib import Path

import msgspec
import pytest

from mesh_cli.trust.following import Wish
from mesh_cli.trust.rotate import rotate
from mesh_core.identity import Component, Identity, cluster_id, domain
from mesh_core.objects import TrustBundle
from mesh_core.objects.trust import Statement
from mesh_core.trust_statement import held_by, read_statement
from mesh_fakes.clusters import MESH, REQUEST
from mesh_fakes.commands import Meshctl, complaint, done, join
from mesh_fakes.mortal_files import Killed, MortalFiles
from mesh_fakes.object_server import Object, ObjectServer
from mesh_runtime.pem import certificates_from_pem
from mesh_runtime.pki import new_key
from mesh_runtime.progress import progress_for
from mesh_runtime.secret_file import Files
from mesh_runtime.signing_request import make_request
from mesh_runtime.trust_dir import load_trust_dir, read_trust_dir
from mesh_runtime.trust_signing import accepted_statement, keys_of


def follows(server: ObjectServer, *, peer: str) -> None:
    """The cluster and its one peer go by whatever the TrustBundle says, as soon as it is there."""

    def react(server: ObjectServer, item: Object) -> None:
        if item.get("kind") != "TrustBundle" or "generation" not in item["spec"]:
            return
        generation = item["spec"]["generation"]
        lease = {
            "name": "gateway-1",
            "namespace": "meshctl-system",
            "labels": {"meshctl.dev/replica": "meshctl-gateway"},
            "annotations": {"meshctl.dev/trust-generation": str(generation)},
        }
        server.put("coordination.k8s.io/v1", "leases", {"metadata": lease, "spec": {}})
        status = {"trust": {"generation": generation}}
        server.put(MESH, "meshpeers", {"metadata": {"name": peer}, "status": status})

    server.reactions.append(react)


@pytest.fixture
def trust(meshctl: Meshctl, trust: str, east: ObjectServer) -> Path:
    """The folder of east and west."""
    done(join(meshctl, trust))
    done(join(meshctl, trust, "--context", "w", "--cluster-id", "west"))
    done(meshctl("link", "e", "w"))
    follows(east, peer="west")
    return Path(trust)


def statement(server: ObjectServer) -> Statement:
    found = held_by(msgspec.convert(server.get("trustbundles", "clusterset"), TrustBundle)).statement
    assert found is not None
    return found


def history(server: ObjectServer) -> list[Statement]:
    """All statements that the cluster has been given, in order."""
    texts = [
        item["spec"]["statement"]["text"]
        for _, _, at, item in server._events
        if at.plural == "trustbundles" and "statement" in item["spec"]
    ]
    return [read_statement(text) for text in dict.fromkeys(texts)]


def check_rotated(server: ObjectServer, *, folder: Path, before: Statement, old: str) -> None:
    """One new root that is the folder's own; all keys as they were, each below the new root."""
    after, now = statement(server), load_trust_dir(folder)
    assert after.rotation is None
    assert [root.certificate for root in after.roots] == [now.root_pem]
    assert now.root_pem != old
    assert now.former is not None and now.following is None
    assert [(one.cluster, one.keys) for one in after.roster] == [
        (one.cluster, one.keys) for one in before.roster
    ]
    for entry in after.roster:
        (pem,) = entry.certificates
        certificates_from_pem(pem.encode(), what="it")[0].verify_directly_issued_by(now.certificate)


def test_a_rotation_goes_through_its_phases_and_the_folder_has_the_new_root(
    meshctl: Meshctl, east: ObjectServer, trust: Path
) -> None:
    before, old = statement(east), load_trust_dir(trust).root_pem
    output = done(meshctl("trust", "rotate", "--trust", str(trust), "--context", "e"))
    check_rotated(east, folder=trust, before=before, old=old)
    (key,) = keys_of([load_trust_dir(trust).root_pem])
    assert f"the root is {key[:12]} now" in output
    phases = [(one.rotation.phase if one.rotation else "", len(one.roots)) for one in history(east)]
    assert phases[-5:] == [("", 1), ("Publish", 2), ("Reissue", 2), ("Withdraw", 1), ("", 1)]


def test_a_member_that_slept_through_a_rotation_can_follow_at_its_end(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer, trust: Path
) -> None:
    asleep = held_by(msgspec.convert(west.get("trustbundles", "clusterset"), TrustBundle))
    done(meshctl("trust", "rotate", "--trust", str(trust), "--context", "e"))
    newest = read_trust_dir(trust).held.signed_statement
    assert newest is not None
    accepted_statement(newest, held=asleep, domain=read_trust_dir(trust).domain, roots=())
    done(meshctl("link", "e", "w"))
    assert statement(west) == statement(east)
    done(join(meshctl, str(trust), "--context", "w", "--cluster-id", "west"))


def test_a_rotation_killed_after_any_file_operation_is_resumed_to_the_same_end(
    meshctl: Meshctl, east: ObjectServer, trust: Path, tmp_path: Path
) -> None:
    """Killed over and over, each time a little later, until a run comes through."""
    before, old = statement(east), load_trust_dir(trust).root_pem
    config = tmp_path / "kubeconfig"

    def attempt(files: Files) -> bool:
        wish = Wish(trust, ("e",), frozenset(), 20.0, files)
        with suppress(Killed):
            asyncio.run(rotate(wish, kubeconfig=config, progress=progress_for(StringIO())))
            return True
        return False

    for torn in (False, True):
        number = 1
        while not attempt(MortalFiles(number, torn=torn)):
            read_trust_dir(trust)
            number += 1
        assert number > 3
        check_rotated(east, folder=trust, before=before, old=old)
        old = load_trust_dir(trust).root_pem


def test_a_rotation_whose_cluster_refuses_a_write_goes_on_the_next_time(
    meshctl: Meshctl, east: ObjectServer, trust: Path
) -> None:
    before, old = statement(east), load_trust_dir(trust).root_pem
    words = ("trust", "rotate", "--trust", str(trust), "--context", "e")
    east.refusals[("PATCH", "trustbundles")] = 503, "ServiceUnavailable"
    assert "503" in complaint(meshctl(*words))
    east.refusals.clear()
    done(meshctl(*words))
    check_rotated(east, folder=trust, before=before, old=old)


def test_a_member_that_does_not_follow_is_waited_for_until_it_is_named(
    meshctl: Meshctl, east: ObjectServer, trust: Path
) -> None:
    east.reactions.pop()
    east.put(MESH, "meshpeers", {"metadata": {"name": "west"}, "status": {"trust": {"generation": 1}}})
    words = ("trust", "rotate", "--trust", str(trust), "--context", "e", "--timeout", "0.6")
    refused = complaint(meshctl(*words))
    assert "phase Publish waits for generation 3 of east (not heard), west (at 1)" in refused
    assert "--proceed-without west, and must join again to be believed" in refused
    assert "phase Publish, waits for east, west" in done(meshctl("trust", "status", "--context", "e"))
    done(meshctl(*words, "--proceed-without", "west", "--proceed-without", "east"))
    assert statement(east).rotation is None


def test_an_encrypted_root_is_followed_by_an_encrypted_one(
    meshctl: Meshctl, east: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = tmp_path / "word"
    word.write_text("correct horse")
    word.chmod(0o600)
    monkeypatch.setenv("MESHCTL_TRUST_PASSPHRASE_FILE", str(word))
    folder = tmp_path / "encrypted"
    done(meshctl("trust", "init", "--dir", str(folder), "--encrypt"))
    done(join(meshctl, str(folder)))
    follows(east, peer="nobody")
    words = ("--proceed-without", "nobody", "--proceed-without", "east", "--timeout", "5")
    done(meshctl("trust", "rotate", "--trust", str(folder), "--context", "e", *words))
    for name in ("root.key", "old-root.key"):
        assert (folder / name).read_bytes().startswith(b"-----BEGIN ENCRYPTED")
        assert (folder / name).stat().st_mode & 0o777 == 0o600


def test_a_members_key_is_changed_where_it_lives_and_the_old_one_believed_for_a_day(
    meshctl: Meshctl, east: ObjectServer, trust: Path
) -> None:
    old = statement(east).roster[0].keys
    _ask_with_a_new_key(east)
    words = ("trust", "rotate", "--intermediate", "east", "--trust", str(trust), "--context", "e")
    assert "run the same command after that" in done(meshctl(*words))
    entry = statement(east).roster[0]
    assert entry.keys[:1] == old and len(entry.keys) == 2
    assert set(keys_of(entry.certificates[-1:])) == set(entry.keys[1:])
    given = base64.b64decode(east.get("certificatesigningrequests", REQUEST)["status"]["certificate"])
    assert given.decode() == entry.certificates[-1]
    before = read_trust_dir(trust).held
    assert "run the same command after that" in done(meshctl(*words))
    assert read_trust_dir(trust).held == before, "nothing more to do today"
    assert "none of the contexts is that of west" in complaint(
        meshctl(*("west" if word == "east" else word for word in words))
    )


def _ask_with_a_new_key(server: ObjectServer) -> None:
    """As the controller does when its Secret was deleted."""
    identity = Identity(cluster_id("east"), Component.CONTROLLER, domain("clusterset.internal"))
    request = server.get("certificatesigningrequests", REQUEST)
    wish = make_request(new_key(), identity=identity)
    spec = {**request["spec"], "request": base64.b64encode(wish).decode()}
    body = {"metadata": {"name": REQUEST}, "spec": spec, "status": None}
    server.put("certificates.k8s.io/v1", "certificatesigningrequests", body)

"""The verbs of `meshctl trust`, `join` and `link` as a person uses them: roster, eviction, renewal."""

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click.testing import Result

from mesh_core.identity import Component, Identity, cluster_id, domain
from mesh_core.objects import TrustBundle
from mesh_core.objects.trust import Statement
from mesh_core.trust_statement import Held, held_by
from mesh_fakes.clusters import MESH, REQUEST
from mesh_fakes.commands import Meshctl, complaint, done, join
from mesh_fakes.object_server import ObjectServer
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.pki import Authority, make_intermediate, new_key
from mesh_runtime.trust_book import admit, member_entry
from mesh_runtime.trust_dir import init_trust_dir, load_trust_dir, read_trust_dir, record_member
from mesh_runtime.trust_signing import signed

DOMAIN = domain("clusterset.internal")


def bundle(server: ObjectServer) -> TrustBundle:
    return msgspec.convert(server.get("trustbundles", "clusterset"), TrustBundle)


def held(server: ObjectServer) -> Held:
    return held_by(bundle(server))


def statement(server: ObjectServer) -> Statement:
    found = held(server).statement
    assert found is not None
    return found


def roster(server: ObjectServer) -> list[str]:
    return [entry.cluster for entry in statement(server).roster]


def join_west(meshctl: Meshctl, trust: str) -> Result:
    return join(meshctl, trust, "--context", "w", "--cluster-id", "west")


@pytest.fixture
def joined(meshctl: Meshctl, trust: str) -> str:
    """east and west are members, in this order; the folder."""
    done(join(meshctl, trust))
    done(
        meshctl(
            "join", "--context", "w", "--cluster-id", "west", "--trust", trust, "--service-type", "nodeport"
        )
    )
    return trust


@pytest.fixture(autouse=True)
def nothing_says_a_private_key(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    said = capsys.readouterr()
    assert "PRIVATE KEY" not in said.out + said.err


def test_join_puts_each_member_on_the_roster_with_the_key_that_it_asked_for(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer, trust: str
) -> None:
    assert "roster: generation 1, 1 members" in done(join(meshctl, trust))
    assert "roster: generation 2, 2 members" in done(join_west(meshctl, trust))
    assert roster(east) == ["east"]
    assert roster(west) == ["east", "west"]
    entry = statement(west).roster[1]
    assert (entry.uid, len(entry.keys), len(entry.certificates)) == ("uid-of-west", 1, 1)
    given = base64.b64decode(west.get("certificatesigningrequests", REQUEST)["status"]["certificate"])
    assert given.decode() == entry.certificates[0]
    spec = bundle(west).spec
    assert spec.generation == 2
    assert spec.roots == tuple(root.certificate for root in statement(west).roots)
    assert read_trust_dir(Path(trust)).held == held(west)


def test_a_join_that_was_killed_before_its_request_was_answered_gives_the_same_certificate(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    east.refusals[("PATCH", "certificatesigningrequests")] = 500, "InternalError"
    complaint(join(meshctl, trust))
    (kept,) = [entry.certificates[0] for entry in statement(east).roster]
    east.refusals.clear()
    done(join(meshctl, trust))
    given = base64.b64decode(east.get("certificatesigningrequests", REQUEST)["status"]["certificate"])
    assert given.decode() == kept
    assert statement(east).generation == 1


def test_a_join_that_was_killed_before_the_cluster_was_told_tells_it_the_next_time(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    done(join(meshctl, trust))
    before = east.get("trustbundles", "clusterset")["spec"]
    older = {name: before[name] for name in ("domain", "roots")}
    east.objects = {at: item for at, item in east.objects.items() if at.plural != "trustbundles"}
    east.put(MESH, "trustbundles", {"metadata": {"name": "clusterset"}, "spec": older})
    done(join(meshctl, trust))
    assert east.get("trustbundles", "clusterset")["spec"] == before


def _as_it_was(server: ObjectServer, *, cluster: str, folder: Path, shows: bool) -> None:
    """A member that was joined before there were rosters, and has its intermediate."""
    trust = load_trust_dir(folder)
    record_member(folder, cluster=cluster_id(cluster), uid=f"uid-of-{cluster}")
    spec = {"domain": DOMAIN, "generation": 1, "roots": [trust.root_pem]}
    server.put(
        "about.k8s.io/v1beta1", "clusterproperties", _named("cluster.clusterset.k8s.io", {"value": cluster})
    )
    server.put(MESH, "trustbundles", _named("clusterset", spec))
    server.put("certificates.k8s.io/v1", "certificatesigningrequests", _answered(REQUEST, b"x"))
    if shows:
        name, now = cluster_id(cluster), datetime.now(UTC)
        key = new_key()
        made = make_intermediate(
            trust.root, cluster=name, domain=DOMAIN, public_key=key.public_key(), now=now
        )
        identity = Identity(name, Component.GATEWAY, DOMAIN)
        leaf = own_leaf(Authority(made, key), identity=identity, clock=lambda: now)
        request = _answered("leaf-1", leaf.chain_pem, signer="meshctl.dev/leaf")
        server.put("certificates.k8s.io/v1", "certificatesigningrequests", request)


def _named(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


def _answered(name: str, chain: bytes, *, signer: str = "meshctl.dev/intermediate") -> dict[str, Any]:
    spec = {
        "request": "",
        "signerName": signer,
        "username": "system:serviceaccount:meshctl-system:meshctl-controller",
    }
    return {**_named(name, spec), "status": {"certificate": base64.b64encode(chain).decode()}}


def test_members_from_before_there_was_a_roster_get_one_when_all_were_joined_again(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer, trust: str
) -> None:
    """The key is learned from what the programs were given when they started; nobody is locked out."""
    _as_it_was(east, cluster="east", folder=Path(trust), shows=True)
    _as_it_was(west, cluster="west", folder=Path(trust), shows=True)
    assert "no roster yet: the keys of west are not known" in done(join(meshctl, trust))
    assert held(east).statement is None
    assert "roster: generation 2, 2 members" in done(join_west(meshctl, trust))
    assert roster(west) == ["east", "west"]
    done(meshctl("link", "e", "w"))
    assert roster(east) == ["east", "west"]


def test_a_member_from_before_that_is_no_more_is_forgotten_so_that_there_is_a_roster(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    _as_it_was(east, cluster="east", folder=Path(trust), shows=True)
    record_member(Path(trust), cluster=cluster_id("west"), uid="uid-of-west")
    assert "no roster yet: the keys of west" in done(join(meshctl, trust))
    words = ("trust", "evict", "west", "--trust", trust, "--context", "e")
    assert "west would be forgotten" in done(meshctl(*words, "--dry-run"))
    assert "west is forgotten: its id is free" in done(meshctl(*words))
    assert "roster: generation 2, 1 members" in done(join(meshctl, trust))


def test_a_member_that_shows_no_key_is_said_so_and_how_to_make_it(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    _as_it_was(east, cluster="east", folder=Path(trust), shows=False)
    refused = complaint(join(meshctl, trust))
    assert "nothing shows which key east has; restart a program of it (kubectl --context e" in refused


def test_link_brings_the_newer_statement_to_whoever_is_behind_and_needs_no_folder(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer, joined: str
) -> None:
    Path(joined).rename(Path(joined).parent / "elsewhere")
    output = done(meshctl("link", "e", "w"))
    assert "east and west are connected" in output
    assert held(east) == held(west)
    before = east.versions(), west.versions()
    done(meshctl("link", "w", "e"))
    assert (east.versions(), west.versions()) == before


def test_link_refuses_who_is_not_on_the_roster_and_who_would_not_follow(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer, joined: str, tmp_path: Path
) -> None:
    done(meshctl("trust", "evict", "east", "--trust", joined, "--context", "w"))
    refused = complaint(meshctl("link", "e", "w"))
    assert "the trust bundle does not know east; run meshctl trust approve --cluster-id east" in refused
    other = str(tmp_path / "other")
    done(meshctl("trust", "init", "--dir", other))
    foreign = load_trust_dir(Path(other))
    forged = msgspec.structs.replace(statement(west), generation=99)
    spec = {"generation": 99, "statement": msgspec.to_builtins(signed(forged, by=[foreign.root.key]))}
    west.put(MESH, "trustbundles", _named("clusterset", spec))
    assert "no root that is believed here has signed generation 99" in complaint(meshctl("link", "e", "w"))
    assert roster(east) == ["east"]


def test_evict_takes_the_member_off_the_roster_and_refuses_its_key_for_good(
    meshctl: Meshctl, east: ObjectServer, joined: str
) -> None:
    gone = read_trust_dir(Path(joined)).held.statement
    assert gone is not None
    output = done(
        meshctl("trust", "evict", "west", "--trust", joined, "--context", "e", "--why", "was  stolen")
    )
    assert "west is evicted: statement generation 3" in output
    assert roster(east) == ["east"]
    (refused,) = statement(east).refused
    assert (refused.key, refused.cluster, refused.why) == (gone.roster[1].keys[0], "west", "was stolen")
    assert set(read_trust_dir(Path(joined)).members) == {"east"}
    done(meshctl("trust", "evict", "west", "--trust", joined, "--context", "e"))
    assert statement(east).generation == 3, "once is enough"


def test_evict_of_somebody_whom_nobody_knows_is_refused(meshctl: Meshctl, joined: str) -> None:
    words = ("trust", "evict", "north", "--trust", joined, "--context", "e")
    assert "no member is known as north; see meshctl trust status" in complaint(meshctl(*words))
    key = "ab" * 32
    assert "north is evicted" in done(meshctl(*words, "--key", key))
    assert "is no key id" in complaint(meshctl(*words, "--key", "abc"))


def test_a_revoker_evicts_without_the_folder_and_the_next_statement_takes_it_over(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer, joined: str, tmp_path: Path
) -> None:
    key = tmp_path / "on-call.key"
    done(meshctl("trust", "delegate", "--trust", joined, "--out", str(key), "--context", "e"))
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(statement(east).revokers) == 1
    Path(joined).rename(tmp_path / "elsewhere")
    output = done(
        meshctl("trust", "evict", "west", "--revoker", str(key), "--context", "e", "--context", "w")
    )
    assert "west is evicted: revocations number 1" in output
    assert [one.cluster for one in _revoked(east)] == ["west"]
    assert held(east) == held(west)
    done(meshctl("trust", "evict", "west", "--revoker", str(key), "--context", "e"))
    assert held(east).revision == 1, "once is enough"
    done(meshctl("trust", "renew", "--trust", str(tmp_path / "elsewhere"), "--context", "e"))
    assert roster(east) == ["east"]
    assert [one.cluster for one in statement(east).refused] == ["west"]


def _revoked(server: ObjectServer) -> tuple[Any, ...]:
    found = held(server).revocations
    assert found is not None
    return found.refused


def test_a_revoker_that_no_statement_names_evicts_nobody(
    meshctl: Meshctl, east: ObjectServer, joined: str, tmp_path: Path
) -> None:
    key = str(tmp_path / "r.key")
    done(meshctl("trust", "delegate", "--trust", joined, "--out", key))
    words = ("trust", "evict", "west", "--revoker", key, "--context", "w")
    assert "is named by no statement that these members hold" in complaint(meshctl(*words))
    done(meshctl("trust", "delegate", "--trust", joined, "--out", key, "--context", "w"))
    done(meshctl("trust", "delegate", "--trust", joined, "--out", key, "--context", "w", "--withdraw"))
    assert "is named by no statement" in complaint(meshctl(*words))
    assert "nobody can sign the eviction; give --trust DIR" in complaint(
        meshctl("trust", "evict", "west", "--context", "w")
    )


def test_the_folders_own_revoker_is_used_while_the_roots_key_is_away(
    meshctl: Meshctl, east: ObjectServer, joined: str
) -> None:
    done(meshctl("trust", "delegate", "--trust", joined, "--context", "e"))
    (Path(joined) / "root.key").rename(Path(joined).parent / "offline.key")
    words = ("--trust", joined, "--context", "e")
    assert "needs the root's key" in complaint(meshctl("trust", "renew", *words))
    assert "needs the root's key" in complaint(join(meshctl, joined))
    assert "revocations number 1" in done(meshctl("trust", "evict", "west", *words))
    assert "the root's key is kept elsewhere" in done(meshctl("trust", "status", *words))


def test_a_key_file_that_others_can_read_stops_the_command(meshctl: Meshctl, joined: str) -> None:
    (Path(joined) / "root.key").chmod(0o644)
    assert "run chmod 600" in complaint(meshctl("trust", "renew", "--trust", joined, "--context", "e"))


def test_renew_signs_for_the_keys_that_are_there_what_is_past_two_thirds(
    meshctl: Meshctl, east: ObjectServer, tmp_path: Path
) -> None:
    (tmp_path / "t").mkdir()
    then = datetime.now(UTC) - timedelta(days=61)
    folder = str(tmp_path / "t")
    init_trust_dir(Path(folder), domain=DOMAIN, now=then - timedelta(days=1))
    done(join(meshctl, folder))
    words = ("trust", "renew", "--trust", folder, "--context", "e")
    assert "none is past two thirds" in done(meshctl(*words))
    trust = load_trust_dir(Path(folder))
    name, key = cluster_id("west"), new_key().public_key()
    old = make_intermediate(trust.root, cluster=name, domain=DOMAIN, public_key=key, now=then)
    entry = member_entry(old, cluster=name, uid="uid-of-west", now=then)
    admit(trust, entry=entry, now=then)
    before = statement(east).roster[0]
    assert "renewed west" in done(meshctl(*words))
    renewed = statement(east).roster[1]
    assert renewed.keys == entry.keys
    assert renewed.certificates != entry.certificates
    assert statement(east).roster[0] == before
    assert "none is past two thirds" in done(meshctl(*words))


def test_a_dry_run_prints_what_could_be_applied_and_writes_nothing(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer, joined: str
) -> None:
    before = east.versions(), west.versions(), read_trust_dir(Path(joined))
    words = ("--trust", joined, "--context", "e", "--context", "w", "--dry-run", "-o", "yaml")
    text = done(meshctl("trust", "evict", "west", *words))
    assert "PRIVATE" not in text
    (shown,) = yaml.safe_load_all(text)
    assert (shown["apiVersion"], shown["kind"]) == (MESH, "TrustBundle")
    assert (east.versions(), west.versions(), read_trust_dir(Path(joined))) == before
    east.put(MESH, "trustbundles", shown)
    assert roster(east) == ["east"]
    assert "none is past" in done(meshctl("trust", "renew", "--trust", joined, "--context", "e"))
    found = read_trust_dir(Path(joined)).held.statement
    assert found is not None and [one.cluster for one in found.roster] == ["east"], "the folder took it"
    assert "-o yaml prints what would be written; give --dry-run too" in complaint(
        meshctl("trust", "renew", "--trust", joined, "-o", "yaml")
    )


def test_two_copies_of_a_folder_that_both_signed_are_settled_by_a_person(
    meshctl: Meshctl, east: ObjectServer, joined: str
) -> None:
    folder = load_trust_dir(Path(joined))
    own = folder.held.statement
    assert own is not None
    other = msgspec.structs.replace(own, generation=3, roster=own.roster[:1])
    spec = {"generation": 3, "statement": msgspec.to_builtins(signed(other, by=[folder.root.key]))}
    done(meshctl("link", "e", "w"))
    east.put(MESH, "trustbundles", _named("clusterset", spec))
    done(meshctl("trust", "renew", "--trust", joined, "--all", "--context", "w"))
    refused = complaint(meshctl("trust", "renew", "--trust", joined, "--context", "e"))
    assert "two different statements of generation 3" in refused
    status = done(meshctl("trust", "status", "--context", "e", "--context", "w"))
    assert "hold two different statements of generation 3: meshctl trust settle" in status
    words = ("trust", "settle", "--trust", joined, "--context", "e")
    assert "signed generation 4 with the roster east, west" in done(meshctl(*words, "--keep", "folder"))
    assert roster(east) == ["east", "west"]
    assert "holds nothing that contradicts" in complaint(meshctl(*words, "--keep", "cluster"))


def test_status_shows_who_goes_by_what_and_lag_is_no_failure(
    meshctl: Meshctl, east: ObjectServer, joined: str
) -> None:
    done(meshctl("link", "e", "w"))
    said = {"trust": {"generation": 1, "root": "ab" * 32}}
    east.put(MESH, "meshpeers", {"metadata": {"name": "west"}, "status": said})
    lease = {
        "name": "gateway-1",
        "namespace": "meshctl-system",
        "labels": {"meshctl.dev/replica": "meshctl-gateway"},
    }
    lease["annotations"] = {"meshctl.dev/trust-generation": "2"}
    east.put(
        "coordination.k8s.io/v1", "leases", {"metadata": lease, "spec": {"renewTime": "2099-01-01T00:00:00Z"}}
    )
    result = meshctl("trust", "status", "--context", "e", "--trust", joined)
    output = done(result)
    assert result.return_value == 0
    assert re.search(r"context e +east +2 ", output)
    assert re.search(r"east +\w{12} +\w{12} .* 2/0 +east\n", output)
    assert re.search(r"west +\w{12} .* 1/0 +east +behind\n", output)
    assert "behind: west" in output
    assert "e: its clock is" in output
    seen = json.loads(done(meshctl("trust", "status", "--context", "e", "--context", "dead", "-o", "json")))
    assert seen["generation"] == 2
    assert [(one["cluster"], one["behind"]) for one in seen["members"]] == [("east", False), ("west", True)]
    assert seen["members"][0]["certificate"]["signer"] == seen["roots"][0]["key"]
    assert "does not answer" in seen["contexts"][1]["error"]


def test_status_of_an_unsigned_bundle_says_that_there_is_no_roster(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    _as_it_was(east, cluster="east", folder=Path(trust), shows=False)
    output = done(meshctl("trust", "status", "--context", "e", "--trust", trust))
    assert "nobody has signed a roster" in output
    assert "no roster before the keys of east are known" in output


def test_approve_signs_for_a_member_that_waits_and_takes_no_other_cluster_for_it(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer, joined: str
) -> None:
    """As where somebody without the root has installed everything: the request waits."""
    words = ("trust", "approve", "--context", "w", "--trust", joined)
    assert "has the cluster id west already" in complaint(meshctl(*words, "--cluster-id", "north"))
    assert "west is on the roster: generation 2" in done(
        meshctl(*words, "--cluster-id", "west", "--timeout", "0.2")
    )
    request = west.get("certificatesigningrequests", REQUEST)
    request["status"] = {}
    certificate = statement(west).roster[1].certificates
    done(meshctl(*words, "--cluster-id", "west"))
    assert statement(west).roster[1].certificates == certificate, "the one that it was given before"
    given = base64.b64decode(west.get("certificatesigningrequests", REQUEST)["status"]["certificate"])
    assert given.decode() == certificate[0]


def test_an_evicted_cluster_is_let_in_again_with_a_new_key_alone(
    meshctl: Meshctl, east: ObjectServer, joined: str
) -> None:
    done(meshctl("trust", "evict", "east", "--trust", joined, "--context", "w"))
    east.get("certificatesigningrequests", REQUEST)["status"] = {}
    refused = complaint(join(meshctl, joined))
    assert "the key of east was refused for good (evicted); delete its Secret" in refused
    del east.objects[next(at for at in east.objects if at.name == REQUEST)]
    east.reactions[-2](east, east.get("deployments", "meshctl-controller"))
    assert "roster: generation 4, 2 members" in done(join(meshctl, joined))
    assert roster(east) == ["east", "west"]

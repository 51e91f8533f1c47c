"""The folder of whoever holds the root."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mesh_core.identity import cluster_id, domain
from mesh_runtime.pem import key_to_pem
from mesh_runtime.pki import new_key, window_in
from mesh_runtime.trust_dir import ClusterIdTaken, TrustDir, init_trust_dir, load_trust_dir, record_member
from mesh_runtime.trust_folder import TrustFolderError

NOW = datetime.now(UTC)
DOMAIN = domain("clusterset.internal")
WEST = cluster_id("west")


def made(folder: Path) -> TrustDir:
    return init_trust_dir(folder, domain=DOMAIN, now=NOW)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_holds_a_root_that_only_its_owner_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "trust"
    old = os.umask(0)
    try:
        made(folder)
    finally:
        os.umask(old)
    assert sorted(path.name for path in folder.iterdir()) == [
        "clusterset.json",
        "root.crt",
        "root.key",
    ]
    assert mode(folder) == 0o700
    assert mode(folder / "root.key") == 0o600
    assert json.loads((folder / "clusterset.json").read_text()) == {
        "domain": "clusterset.internal",
        "members": {},
    }


def test_what_was_made_is_what_is_loaded(tmp_path: Path) -> None:
    trust = made(tmp_path / "t")
    loaded = load_trust_dir(tmp_path / "t")
    assert loaded == trust
    assert loaded.root_pem == (tmp_path / "t" / "root.crt").read_text()
    assert window_in(loaded.root.certificate).end > NOW + timedelta(days=3650)


def test_a_root_is_never_overwritten(tmp_path: Path) -> None:
    made(tmp_path / "t")
    before = {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()}
    with pytest.raises(TrustFolderError, match="not empty"):
        made(tmp_path / "t")
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()}


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir(mode=0o755)
    made(tmp_path / "t")
    assert mode(tmp_path / "t") == 0o700


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("")
    with pytest.raises(TrustFolderError, match="cannot be written"):
        made(tmp_path / "t")


def test_members_are_kept_and_repeated_without_effect(tmp_path: Path) -> None:
    made(tmp_path / "t")
    record_member(tmp_path / "t", cluster=WEST, uid="1")
    record_member(tmp_path / "t", cluster=cluster_id("east"), uid="2")
    written = (tmp_path / "t" / "clusterset.json").stat().st_mtime_ns
    trust = record_member(tmp_path / "t", cluster=WEST, uid="1")
    assert trust.members == {"east": "2", "west": "1"}
    assert load_trust_dir(tmp_path / "t").members == trust.members
    assert (tmp_path / "t" / "clusterset.json").stat().st_mtime_ns == written


def test_a_cluster_id_belongs_to_whoever_took_it_first(tmp_path: Path) -> None:
    made(tmp_path / "t")
    record_member(tmp_path / "t", cluster=WEST, uid="1")
    with pytest.raises(ClusterIdTaken, match=r"west belongs to another cluster .*UID 1"):
        record_member(tmp_path / "t", cluster=WEST, uid="2")
    assert load_trust_dir(tmp_path / "t").members == {"west": "1"}


def test_runs_at_a_time_do_not_lose_each_others_members(tmp_path: Path) -> None:
    made(tmp_path / "t")
    names = [cluster_id(f"c{number}") for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: record_member(tmp_path / "t", cluster=name, uid=name), names))
    assert set(load_trust_dir(tmp_path / "t").members) == set(names)


def test_what_a_killed_run_left_behind_does_no_harm(tmp_path: Path) -> None:
    made(tmp_path / "t")
    (tmp_path / "t" / ".clusterset.json.part").write_text("{")
    assert load_trust_dir(tmp_path / "t").members == {}
    assert record_member(tmp_path / "t", cluster=WEST, uid="1").members == {"west": "1"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("clusterset.json", b"{"),
        ("clusterset.json", b'{"domain": "10.0.0.1", "members": {}}'),
        ("clusterset.json", b'{"domain": "a.internal", "members": {"Not An Id": "1"}}'),
        ("clusterset.json", b'{"domain": "a.internal", "members": {"west": 1}}'),
        ("clusterset.json", b'{"domain": "a.internal", "members": {}, "more": 1}'),
        ("root.key", b"nonsense"),
        ("root.crt", b"nonsense"),
        ("root.crt", b""),
    ],
)
def test_a_spoiled_folder_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    made(tmp_path / "t")
    (tmp_path / "t" / name).write_bytes(content)
    with pytest.raises(TrustFolderError, match="cannot be read"):
        load_trust_dir(tmp_path / "t")


def test_a_key_of_another_root_is_noticed(tmp_path: Path) -> None:
    made(tmp_path / "t")
    (tmp_path / "t" / "root.key").write_bytes(key_to_pem(new_key()))
    with pytest.raises(TrustFolderError, match="do not belong together"):
        load_trust_dir(tmp_path / "t")


def test_where_nothing_is_one_is_told_how_to_begin(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(TrustFolderError, match="meshctl trust init"):
            load_trust_dir(folder)
    with pytest.raises(TrustFolderError, match="meshctl trust init"):
        record_member(tmp_path / "missing", cluster=WEST, uid="1")

"""The last good routes on disk: the same routes come back, and what is not whole counts as nothing."""

import asyncio
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mesh_core.membership import Membership
from mesh_fakes.route_objects import (
    HELLO,
    exported,
    headless,
    imported,
    local,
    objects_of,
    peer,
    remote,
    stand_in,
)
from mesh_fakes.waiting import until
from mesh_gateway.last_good import LastGood
from mesh_gateway.route import Address
from mesh_gateway.route_table import Objects, route_table
from mesh_gateway.snapshot import FILE_NAME, read_snapshot, write_snapshot
from mesh_runtime.snapshot_file import UnreadableSnapshot

OBJECTS = replace(
    objects_of(
        remote("east"),
        local("10.244.0.5"),
        stand_in("db-0"),
        imports=[imported(), headless()],
        exports=[exported(annotations={"example.com/note": "two\nlines\r and\ttabs \u2028 ü"})],
        peers=[peer("east"), peer("north")],
        controllers=[local("10.244.0.9", service="meshctl-controller")],
    ),
    api_server=(Address("10.96.0.1", 443),),
)


def test_what_was_kept_gives_the_same_egress_and_lets_nobody_in_before_addresses_are_known(
    tmp_path: Path,
) -> None:
    write_snapshot(OBJECTS, folder=tmp_path)
    kept = read_snapshot(tmp_path)
    assert kept is not None
    assert (kept.cluster, kept.domain, kept.slices) == (OBJECTS.cluster, OBJECTS.domain, OBJECTS.slices)
    assert list(kept.exports) == list(OBJECTS.exports)
    before, after = route_table(OBJECTS), route_table(kept)
    assert after.egress == before.egress and after.gateways == before.gateways
    assert after.controllers == before.controllers
    assert before.api_server and not after.api_server, "no consent of yesterday leads there"
    assert HELLO in before.ingress and HELLO not in after.ingress, "ruling 28"
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    assert read_snapshot(tmp_path) is None
    assert read_snapshot(tmp_path / "no-such-folder") is None


def torn(content: bytes) -> bytes:
    return content[: len(content) // 2]


def without_end(content: bytes) -> bytes:
    return content[: content.rindex(b"sha256")]


def changed(content: bytes) -> bytes:
    return content.replace(b"10.0.0.2", b"10.0.0.3")


def resummed(old: bytes, new: bytes, content: bytes) -> bytes:
    """With something replaced, and a checksum that fits."""
    body = without_end(content).replace(old, new)
    return body + b"sha256\t" + hashlib.sha256(body).hexdigest().encode() + b"\n"


@pytest.mark.parametrize(
    "damage",
    [
        torn,
        without_end,
        changed,
        lambda content: b"",
        lambda content: os.urandom(4096),
        lambda content: content + b"more\n",
        lambda content: resummed(b'"version":1', b'"version":2', content),
        lambda content: resummed(b'"cluster":"west"', b'"cluster":"We_st"', content),
        lambda content: resummed(b'"port":20000', b'"port":"x"', content),
    ],
)
def test_what_is_not_whole_or_not_ours_does_not_read(damage: object, tmp_path: Path) -> None:
    assert callable(damage)
    write_snapshot(OBJECTS, folder=tmp_path)
    path = tmp_path / FILE_NAME
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnreadableSnapshot):
        read_snapshot(tmp_path)
    assert LastGood(lambda: None, folder=tmp_path).look() is None, "it starts from nothing"


def test_what_the_caches_hold_wins_and_what_was_kept_does_not_come_back(tmp_path: Path) -> None:
    write_snapshot(OBJECTS, folder=tmp_path)
    live: list[Objects | None] = [None]
    good = LastGood(lambda: live[0], folder=tmp_path)
    kept = good.look()
    assert kept is not None and kept.slices == OBJECTS.slices
    good.changed()
    assert not good.alive.is_set()
    live[0] = objects_of()
    good.changed()
    assert good.alive.is_set()
    assert good.look() == live[0]
    live[0] = None
    assert good.look() is None, "no longer a member is not the same as not heard yet"


@pytest.mark.asyncio
async def test_it_is_kept_after_changes_but_not_for_each_of_them(tmp_path: Path) -> None:
    live: list[Objects | None] = [None]
    good = LastGood(lambda: live[0], folder=tmp_path)
    keeping = asyncio.create_task(good.run(rest=0.05))
    good.changed()
    await asyncio.sleep(0)
    live[0] = OBJECTS
    good.changed()
    await until((tmp_path / FILE_NAME).exists)
    first = (tmp_path / FILE_NAME).stat().st_ino
    live[0] = objects_of()
    for _ in range(100):
        good.changed()
    await until(lambda: (tmp_path / FILE_NAME).stat().st_ino != first)
    kept = read_snapshot(tmp_path)
    assert kept is not None and kept.slices == ()
    keeping.cancel()


@pytest.mark.asyncio
async def test_a_disk_that_takes_nothing_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "not-there-yet"
    good = LastGood(lambda: OBJECTS, folder=folder)
    keeping = asyncio.create_task(good.run(rest=0.01))
    good.changed()
    await until(lambda: good.has_failed)
    folder.mkdir()
    good.changed()
    await until((folder / FILE_NAME).exists)
    assert good.look() is OBJECTS
    keeping.cancel()


def test_it_holds_no_key_and_no_certificate(tmp_path: Path) -> None:
    write_snapshot(OBJECTS, folder=tmp_path)
    content = (tmp_path / FILE_NAME).read_text()
    assert "PRIVATE KEY" not in content and "CERTIFICATE" not in content
    assert not {field for field in Membership.__dataclass_fields__ if f'"{field}"' in content} - {
        "cluster",
        "domain",
        "trust",  # of a MeshPeer: by which numbers the peer goes, and which root it was agreed to have
        "pool",  # of a MeshPeer: which issuer let the peer in
    }

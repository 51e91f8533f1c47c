"""The last names on disk: the same answers come back, and what is not whole counts as nothing."""

import asyncio
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from mesh_dns.entry import Entry, Host, PortName, Target
from mesh_dns.last_names import LastNames
from mesh_dns.snapshot import FILE_NAME, MOST_BYTES, Zone, read_snapshot, write_snapshot
from mesh_dns.table import Table
from mesh_fakes.exports import NOW
from mesh_fakes.waiting import until
from mesh_runtime.snapshot_file import UnreadableSnapshot

DB0, OTHER = Host("db-0", "east"), Host("10-0-0-2", "west")
SQL, ODD = Target(DB0, 5432), Target(OTHER, 15432)
ZONE = Zone(
    heard=1_700_000_000.5,
    entries={
        ("demo", "web"): Entry(
            addresses=(ip_address("10.96.0.10"), ip_address("fd00::10")),
            ports={PortName("http", "tcp"): (Target(None, 80),)},
            targets=(Target(None, 80),),
        ),
        ("demo", "soon"): Entry(),
        ("shop", "db"): Entry(
            addresses=(ip_address("10.0.0.2"), ip_address("10.0.0.1")),
            hosts={DB0: (ip_address("10.0.0.1"), ip_address("fd00::1")), OTHER: (ip_address("10.0.0.2"),)},
            ports={PortName("sql", "tcp"): (SQL, ODD), PortName("sql", "udp"): (ODD,)},
            targets=(SQL, ODD),
            stretches=(1, 1),
        ),
    },
    name_server=(ip_address("10.96.0.53"), ip_address("fd00::53")),
)


def last_names(table: Table, folder: Path, *, reader: str = "0") -> LastNames:
    return LastNames(table, folder=folder, clock=lambda: NOW, heard_ago=lambda: 40.0, reader=reader)


def test_what_was_kept_is_what_comes_back(tmp_path: Path) -> None:
    write_snapshot(ZONE, folder=tmp_path)
    assert read_snapshot(tmp_path) == ZONE
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_table_that_begins_with_it_is_complete_and_says_how_old_it_is(tmp_path: Path) -> None:
    write_snapshot(ZONE, folder=tmp_path)
    table = Table()
    asyncio.run(last_names(table, tmp_path).restore())
    assert table.complete and table.snapshot_of == ZONE.heard
    assert table.entries == ZONE.entries and table.name_server == ZONE.name_server


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    assert read_snapshot(tmp_path) is None
    assert read_snapshot(tmp_path / "no-such-folder") is None
    table = Table()
    asyncio.run(last_names(table, tmp_path).restore())
    assert not table.complete


def resummed(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """With something replaced, and a checksum that fits."""

    def damage(content: bytes) -> bytes:
        body = content[: content.rindex(b"sha256")]
        assert old in body
        body = body.replace(old, new)
        return body + b"sha256\t" + hashlib.sha256(body).hexdigest().encode() + b"\n"

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[: content.rindex(b"sha256")],
        lambda content: content.replace(b"10.0.0.2", b"10.0.0.3"),
        lambda content: b"",
        lambda content: b"\n",
        lambda content: os.urandom(4096),
        lambda content: content + b"more\n",
        resummed(b'"version":1', b'"version":2'),
        resummed(b'"demo"', b'"de.mo"'),
        resummed(b'"db-0"', b'"d\xff-0"'),
        resummed(b'"db-0"', b'"db.0"'),
        resummed(b'"east"', b'"EAST"'),
        resummed(b'"sql"', b'"' + b"x" * 63 + b'"'),
        resummed(b"5432", b"65536"),
        resummed(b"10.0.0.2", b"10.0.0.256"),
        resummed(b'"tcp",[0,1]', b'"tcp",[0,9]'),
        resummed(b'"tcp",[0,1]', b'"tcp",[0,-1]'),
        resummed(b"[1,1]]", b"[1,2]]"),
    ],
)
def test_what_is_not_whole_or_not_ours_does_not_read_and_stops_nothing(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    write_snapshot(ZONE, folder=tmp_path)
    path = tmp_path / FILE_NAME
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnreadableSnapshot):
        read_snapshot(tmp_path)
    table = Table()
    asyncio.run(last_names(table, tmp_path).restore())
    assert not table.complete and not table.entries and table.snapshot_of is None


@pytest.mark.asyncio
async def test_the_table_is_kept_after_changes_also_when_the_disk_did_not_take_it_first(
    tmp_path: Path,
) -> None:
    table = Table()
    table.restore(ZONE.entries, name_server=ZONE.name_server, heard=ZONE.heard)
    folder = tmp_path / "not-there-yet"
    last = last_names(table, folder)
    keeping = asyncio.create_task(last.run(rest=0.01))
    last.changed()
    await until(lambda: last.has_failed)
    folder.mkdir()
    table.drop(namespace="demo", service="soon")
    last.changed()
    await until((folder / FILE_NAME).exists)
    kept = read_snapshot(folder)
    assert kept is not None and kept.heard == NOW.timestamp() - 40.0
    assert kept.entries == table.entries and ("demo", "soon") not in kept.entries
    keeping.cancel()


def test_a_zone_that_is_too_large_is_not_kept_and_the_last_one_stays(tmp_path: Path) -> None:
    write_snapshot(ZONE, folder=tmp_path)
    large = {("demo", f"s{number:06}"): Entry() for number in range(MOST_BYTES // 30)}
    with pytest.raises(OSError, match="more than the"):
        write_snapshot(Zone(ZONE.heard, large), folder=tmp_path)
    assert read_snapshot(tmp_path) == ZONE
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / FILE_NAME).open("wb") as file:
        file.truncate(MOST_BYTES + 1000)
    with pytest.raises(UnreadableSnapshot, match="more than the"):
        read_snapshot(tmp_path)


ENDED_AMID_READING = """
import os, sys
from pathlib import Path
from mesh_runtime.snapshot_file import trying
with trying(Path(sys.argv[1]), what="names", reader=sys.argv[2]):
    os._exit(9)
"""


def test_a_snapshot_whose_reader_was_ended_by_it_is_deleted_by_that_one_the_next_time(tmp_path: Path) -> None:
    """Else one that takes more memory than the pod has would end the pod for ever."""
    write_snapshot(ZONE, folder=tmp_path)
    command = [sys.executable, "-c", ENDED_AMID_READING, str(tmp_path / FILE_NAME), "1"]
    assert subprocess.run(command).returncode == 9
    # Another worker was not ended by it, nor is it told of the first.
    other, table = Table(), Table()
    asyncio.run(last_names(other, tmp_path, reader="0").restore())
    assert other.complete
    asyncio.run(last_names(table, tmp_path, reader="1").restore())
    assert not table.complete and not table.entries
    assert list(tmp_path.iterdir()) == []
    write_snapshot(ZONE, folder=tmp_path)
    asyncio.run(last_names(table, tmp_path, reader="1").restore())
    assert table.complete
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.asyncio
async def test_others_have_the_event_loop_while_the_table_is_filled(tmp_path: Path) -> None:
    write_snapshot(ZONE, folder=tmp_path)
    table = Table()
    seen: set[int] = set()

    async def look() -> None:
        while not table.complete:
            seen.add(len(table.entries))
            await asyncio.sleep(0)

    await asyncio.gather(last_names(table, tmp_path).restore(turn=0.0), look())
    assert seen == {0, 1, 2, 3}


@pytest.mark.asyncio
async def test_what_a_writer_left_that_was_ended_amid_writing_is_deleted(tmp_path: Path) -> None:
    write_snapshot(ZONE, folder=tmp_path)
    left = tmp_path / f".{FILE_NAME}.4711"
    left.write_bytes(b"half a line")
    keeping = asyncio.create_task(last_names(Table(), tmp_path).run())
    await until(lambda: not left.exists())
    keeping.cancel()
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]

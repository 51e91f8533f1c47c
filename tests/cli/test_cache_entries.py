"""The cache: entries are whole, made once, and few."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_fakes.silent import SilentProgress
from mesh_local.cache import KEPT, cache_dir, content_key, kept

pytestmark = pytest.mark.asyncio


def left_in(folder: Path) -> set[str]:
    """Names of all that is not a lock."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


async def keep(
    folder: Path,
    *,
    kind: str,
    key: str,
    make: Callable[[Path], Awaitable[None]],
    progress: SilentProgress | None = None,
) -> Path:
    return await kept(folder, kind=kind, key=key, make=make, progress=progress or SilentProgress())


async def write(part: Path) -> None:
    part.write_text("whole")


async def test_an_entry_is_made_once_for_two_who_ask_at_once(tmp_path: Path) -> None:
    made: list[Path] = []
    progress = SilentProgress()

    async def make(part: Path) -> None:
        made.append(part)
        await asyncio.sleep(0)
        part.write_text("whole")

    first, second = await asyncio.gather(
        *(keep(tmp_path, kind="image", key="abc", make=make, progress=progress) for _ in range(2))
    )
    assert first == second == tmp_path / "image-abc"
    assert first.read_text() == "whole"
    assert len(made) == 1
    assert progress.began == [f"Waiting for another run that fills {tmp_path}"]


async def test_a_failed_making_leaves_nothing_and_may_be_tried_again(tmp_path: Path) -> None:
    async def fail(part: Path) -> None:
        part.mkdir()
        (part / "half").write_text("half")
        raise ValueError

    with pytest.raises(ValueError):
        await keep(tmp_path, kind="image", key="abc", make=fail)
    assert left_in(tmp_path) == set()
    await keep(tmp_path, kind="image", key="abc", make=write)
    assert left_in(tmp_path) == {"image-abc"}


async def test_a_cancelled_making_leaves_nothing(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def hang(part: Path) -> None:
        part.write_text("half")
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(keep(tmp_path, kind="image", key="abc", make=hang))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_in(tmp_path) == set()


async def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".image.part").mkdir()
    (tmp_path / ".image.part" / "half").write_text("half")
    entry = await keep(tmp_path, kind="image", key="abc", make=write)
    assert entry.read_text() == "whole"
    assert left_in(tmp_path) == {"image-abc"}


async def test_only_the_entries_used_last_stay_of_each_kind(tmp_path: Path) -> None:
    for key in "abc":
        await keep(tmp_path, kind="image", key=key, make=write)
    await keep(tmp_path, kind="other", key="a", make=write)
    await keep(tmp_path, kind="image", key="a", make=write)
    await keep(tmp_path, kind="image", key="d", make=write)
    assert left_in(tmp_path) == {"image-a", "image-c", "image-d", "other-a"}
    assert KEPT == 3


async def test_a_relative_xdg_folder_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert cache_dir() == tmp_path / ".cache" / "clusterset-mesh"
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_dir() == Path("/elsewhere/clusterset-mesh")


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
async def test_different_parts_have_different_keys(one: list[bytes], other: list[bytes]) -> None:
    assert (content_key(one) == content_key(other)) == (one == other)
    assert len(content_key(one)) == 12

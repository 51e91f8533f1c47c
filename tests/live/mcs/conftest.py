"""A scene for each mode, raised when its first test comes; the tests of a mode run one after another."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from conformance.mode import Mode
from live.mcs.scene import opened, set_up, take_away
from live.mcs.world import World
from mesh_fakes.bed import Bed, joined


@dataclass(frozen=True, slots=True)
class Scene:
    """The clusters of a mode, with everything in them that is asked for."""

    mode: Mode
    bed: Bed


# Flat first: its clusters are gone before those are made that all other live tests share.
@pytest.fixture(scope="package", params=[Mode.FLAT, Mode.GATEWAY], ids=lambda mode: mode.value)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """In flat mode on clusters of its own, else on those of all live tests."""
    mode: Mode = request.param
    if mode is Mode.FLAT:
        with joined(tmp_path_factory.mktemp("flat"), "--flat", network="flat") as bed:
            asyncio.run(set_up(bed, mode))
            yield Scene(mode, bed)
        return
    bed = request.getfixturevalue("clusterset")
    try:
        asyncio.run(set_up(bed, mode))
        yield Scene(mode, bed)
    finally:
        asyncio.run(take_away(bed, mode))


@pytest_asyncio.fixture
async def world(scene: Scene) -> AsyncIterator[World]:
    """The scene, with clients of this test's own event loop."""
    async with opened(scene.bed, scene.mode) as found:
        yield found

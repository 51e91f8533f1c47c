"""Two bare clusters for all tests of this folder, with pods in them that call and are called."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from live.hello import Hello
from live.lifecycle.pair import HOME, Bare, Pair, bare_pair
from mesh_fakes.bed import Bed, started
from mesh_runtime.kube import NAMESPACES

# Asked for by its name only: minutes of waiting for members that are dead (make test-long).
collect_ignore = ["long"]


@pytest.fixture(scope="package")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    """Clusters of their own, because they leave; taken down after the last test of the folder."""
    with started(tmp_path_factory.mktemp("lifecycle"), "--clusters", "east,west") as bed:
        program = bed.load("program")
        bed.load("client")
        asyncio.run(_populate(bed))
        yield Bare(bed, program)


@pytest_asyncio.fixture
async def pair(bare: Bare) -> AsyncIterator[Pair]:
    """The same with clients of this test's own event loop; bare again afterwards."""
    async with bare_pair(bare) as found:
        yield found


async def _populate(bed: Bed) -> None:
    """`hello` and a client in both clusters: they know nothing of us, and stay."""
    async with bed.client("east") as east, bed.client("west") as west:
        hello = Hello(bed, HOME, east, west)
        for kube in (east, west):
            await kube.create(NAMESPACES, {"metadata": {"name": HOME}})
        deploying = [hello.deploy(name) for name in ("east", "west")]
        await asyncio.gather(*deploying, *(hello.deploy_client(name) for name in ("east", "west")))

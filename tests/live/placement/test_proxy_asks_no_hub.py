"""What a proxied request costs the hub, counted in the audit log of its API server."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from statistics import median

import pytest

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.access_callers import PASSERS, scene_of
from mesh_fakes.access_scene import MEMBER, AccessScene
from mesh_fakes.audit import Asked, AuditLog
from mesh_fakes.bed import Bed
from mesh_placement.access.reviews import KEPT_SECONDS
from mesh_placement.names import ACCESS
from mesh_runtime.kube import KubeClient

pytestmark = pytest.mark.asyncio

REQUESTS = 50
PROXY = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{ACCESS}"
PATH = "/api/v1/namespaces/default/configmaps"
WATCHED = {"clusterregistrations", "secrets"}
Ask = Callable[[], Awaitable[None]]
Way = Callable[[AccessScene, KubeClient], AbstractAsyncContextManager[Ask]]


@asynccontextmanager
async def by_a_certificate(scene: AccessScene, _hub: KubeClient) -> AsyncIterator[Ask]:
    """As `ada`, who shows a certificate."""
    async with scene.session(scene.certificate("ca", user="ada", groups=(PASSERS,))) as session:

        async def ask() -> None:
            async with session.get(f"/clusters/{MEMBER}{PATH}") as answer:
                assert answer.status == 200, await answer.text()

        yield ask


@asynccontextmanager
async def by_a_token(scene: AccessScene, _hub: KubeClient) -> AsyncIterator[Ask]:
    """As the ServiceAccount `caller`, who shows a token of the hub."""
    shown = {"Authorization": f"Bearer {scene.token('caller')}"}
    async with scene.session() as session:

        async def ask() -> None:
            async with session.get(f"/clusters/{MEMBER}{PATH}", headers=shown) as answer:
                assert answer.status == 200, await answer.text()

        yield ask


@asynccontextmanager
async def by_the_hubs_api_server(scene: AccessScene, hub: KubeClient) -> AsyncIterator[Ask]:
    """As the hub's administrator, through the aggregation layer."""
    path = scene.aggregated().removeprefix(hub.server) + PATH

    async def ask() -> None:
        await hub.request("GET", path)

    yield ask


@dataclass(frozen=True, slots=True)
class Counted:
    """What the proxy asked of the hub for a first request and for `REQUESTS` more; `took`: seconds each."""

    first: list[Asked]
    then: list[Asked]
    shown: list[Asked]
    took: list[float]

    def __str__(self) -> str:
        first, p50 = self.took[0] * 1000, median(self.took[1:]) * 1000
        return (
            f"first {first:.0f} ms, reviews {reviews(self.first)}; {REQUESTS} more: p50 {p50:.0f} ms, "
            f"{len(reads(self.then))} reads, reviews {reviews(self.then)}"
        )


async def counted(log: AuditLog, hub: KubeClient, ask: Ask) -> Counted:
    """`shown` is all that anybody asked meanwhile."""
    await log.until_now(hub)
    took = [await timed(ask)]
    first = await log.until_now(hub)
    for _ in range(REQUESTS):
        took.append(await timed(ask))
    shown = await log.until_now(hub)
    return Counted(of_proxy(first), of_proxy(shown), shown, took)


async def timed(ask: Ask) -> float:
    began = time.perf_counter()
    await ask()
    return time.perf_counter() - began


def of_proxy(asked: Iterable[Asked]) -> list[Asked]:
    return [one for one in asked if one.user.username == PROXY]


def reviews(asked: Iterable[Asked]) -> dict[str, int]:
    """How often the hub was asked about a caller."""
    return dict(Counter(one.object_ref.resource for one in asked if not one.is_read))


WAYS: dict[str, tuple[Way, dict[str, int]]] = {
    # The way, and what the hub is asked about a caller at his first request.
    "a certificate, plain": (by_a_certificate, {"subjectaccessreviews": 1}),
    "a token, plain": (by_a_token, {"tokenreviews": 1, "subjectaccessreviews": 1}),
    "aggregated": (by_the_hubs_api_server, {"subjectaccessreviews": 1}),
}


async def test_proxied_requests_read_nothing_of_the_hub_and_ask_once_about_a_caller(
    audited_pair: Bed,
) -> None:
    log = AuditLog.of(audited_pair, "hub")
    async with scene_of(audited_pair) as scene, audited_pair.client("hub") as hub:
        begun = of_proxy(await log.until_now(hub))
        # Else nothing would be counted, whatever it asked.
        assert {one.object_ref.resource for one in begun if one.verb == "watch"} >= WATCHED
        for name, (way, about_caller) in WAYS.items():
            async with way(scene, hub) as ask:
                found = await counted(log, hub, ask)
            assert reviews(found.first) == about_caller, name
            print(f"{name}: {found}")
            assert reads(found.first) == reads(found.then) == [], name
            # The hub's word is good for some seconds, and so is asked for again after them.
            rounds = 1 + sum(found.took) / KEPT_SECONDS
            assert all(count <= rounds for count in reviews(found.then).values()), name
            if way is by_the_hubs_api_server:
                assert [one.response_status.code for one in passed_on(found.shown)] == [200] * REQUESTS


def passed_on(asked: Iterable[Asked]) -> list[Asked]:
    """What the hub's API server gave to the proxy, as it began to be answered."""
    path = f"/clusters/{MEMBER}/proxy/"
    return [one for one in asked if path in one.request_uri and one.stage == "ResponseStarted"]


def reads(asked: Iterable[Asked]) -> list[str]:
    return [str(one) for one in asked if one.is_read]

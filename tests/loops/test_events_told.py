"""Events on an API server in memory: what is written, counted on, dropped, and that nobody is held up."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from mesh_controller.caches import Caches
from mesh_controller.event_teller import MOST_WAITING, Dropped, EventCounts, EventTeller
from mesh_controller.event_watch import EventWatch
from mesh_controller.metrics_page import Readings, metrics_page
from mesh_core.event_bodies import Regarding
from mesh_core.lifetimes import Window
from mesh_core.news import News
from mesh_fakes.api_server import FakeApiServer, Item
from mesh_fakes.exports import NOW
from mesh_fakes.waiting import until
from mesh_runtime.kube import MESH_PEERS, SERVICE_EXPORTS, ApiError, KubeClient

pytestmark = pytest.mark.asyncio

HELLO = Regarding("ServiceExport", "demo", "hello", "u-1")
WITHHELD = News("Ready", True, "InvalidPolicy", "withheld: change it")
READY = News("Ready", False, "Exported", "exported to every member")


@dataclass(slots=True)
class Refusing(FakeApiServer):
    """Refuses writes of Events while `status` is one, and has a sibling count on between read and write."""

    status: int = 0
    pause: float = 0.0
    siblings: int = 0
    asked: list[str] = field(default_factory=list)

    def answer(
        self, username: str, method: str, target: Any, *, params: Mapping[str, str], body: Any
    ) -> Item:  # Any: the fake's own target, and JSON
        is_event = target.collection.endswith("/events") and method != "GET"
        if is_event:
            self.asked.append(method)
        if is_event and self.status:
            raise ApiError(status=self.status, reason="Refused", message="no", retry_after=self.pause)
        if is_event and self.siblings and body and "series" in body:
            self.siblings -= 1
            count = self.events()[0].get("series", {}).get("count", 1) + 1
            patch = {"series": {"count": count, "lastObservedTime": "x"}}
            FakeApiServer.answer(self, "sibling", "PATCH", target, params={}, body=patch)
        return FakeApiServer.answer(self, username, method, target, params=params, body=body)

    def events(self) -> list[Item]:
        """All Events, in the order of their names."""
        return [item for key, item in sorted(self._objects.items()) if key[0].endswith("/events")]


@dataclass(slots=True)
class Scene:
    api: Refusing
    teller: EventTeller
    counts: EventCounts

    @property
    def ended(self) -> int:
        """Events of which is known what became of them."""
        counts = self.counts
        return sum(sum(one.values()) for one in (counts.written, counts.repeated, counts.dropped))

    async def told(self, *news: News, about: Regarding = HELLO) -> None:
        wanted = self.ended + len(news)
        for one in news:
            self.teller.tell(about, one)
        await until(lambda: self.ended >= wanted)


@asynccontextmanager
async def telling(api: Refusing | None = None, *, instance: str = "controller-1") -> AsyncIterator[Scene]:
    api = api or Refusing()
    counts = EventCounts()
    teller = EventTeller(api.client(instance), instance=instance, clock=lambda: NOW, counts=counts)
    task = asyncio.create_task(teller.run())
    yield Scene(api, teller, counts)
    assert not task.done(), "it goes on, whatever was refused"
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_what_is_told_is_an_event() -> None:
    async with telling() as scene:
        await scene.told(WITHHELD, READY)
        assert sorted((one["type"], one["reason"]) for one in scene.api.events()) == [
            ("Normal", "Exported"),
            ("Warning", "InvalidPolicy"),
        ]
        assert scene.counts.written == {"Normal": 1, "Warning": 1}


async def test_what_is_told_again_is_counted_on_by_whoever_tells_it() -> None:
    api = Refusing()
    for instance in ("controller-1", "controller-2", "controller-1"):
        async with telling(api, instance=instance) as scene:
            await scene.told(WITHHELD)
    (event,) = api.events()
    assert event["series"]["count"] == 3
    assert event["reportingInstance"] == "controller-1"


async def test_two_who_count_on_at_once_both_count() -> None:
    async with telling(Refusing(siblings=0)) as scene:
        await scene.told(WITHHELD)
        scene.api.siblings = 1
        await scene.told(WITHHELD)
        (event,) = scene.api.events()
        assert event["series"]["count"] == 3
        assert scene.counts.repeated["Warning"] == 1


async def test_who_always_comes_too_late_gives_up_and_counts_it() -> None:
    async with telling() as scene:
        await scene.told(WITHHELD)
        scene.api.siblings = 1000
        await scene.told(WITHHELD)
        assert scene.counts.dropped[Dropped.REFUSED] == 1
        assert scene.api.siblings == 997


@pytest.mark.parametrize(
    ("status", "why"), [(403, Dropped.REFUSED), (429, Dropped.THROTTLED), (500, Dropped.FAILED)]
)
async def test_a_refused_event_is_dropped_counted_and_not_tried_again(status: int, why: Dropped) -> None:
    async with telling(Refusing(status=status)) as scene:
        await scene.told(WITHHELD)
        assert scene.counts.dropped[why] == 1
        assert scene.api.asked == ["POST"]
        scene.api.status = 0
        await scene.told(READY)
        assert [one["reason"] for one in scene.api.events()] == ["Exported"]


async def test_an_api_server_that_asks_for_a_pause_gets_it() -> None:
    async with telling(Refusing(status=429, pause=0.3)) as scene:
        began = time.monotonic()
        await scene.told(WITHHELD)
        scene.api.status = 0
        await scene.told(READY)
        assert time.monotonic() - began >= 0.3


async def test_an_api_server_that_does_not_answer_costs_the_event_and_nothing_else() -> None:
    async with telling() as scene:
        scene.api.stop()
        await scene.told(WITHHELD)
        assert scene.counts.dropped[Dropped.FAILED] == 1
        scene.api.start()
        await scene.told(READY)
        assert [one["reason"] for one in scene.api.events()] == ["Exported"]


def changes(number: int) -> list[News]:
    return [News("Conflict", True, "PortConflict", f"with {one}") for one in range(number)]


async def test_one_object_that_changes_all_the_time_has_its_share_and_no_other_object_suffers() -> None:
    async with telling() as scene:
        await scene.told(*changes(30))
        assert len(scene.api.events()) == 20
        assert scene.counts.dropped[Dropped.SUPPRESSED] == 10
        await scene.told(READY, about=Regarding("ServiceExport", "demo", "other", "u-2"))
        assert len(scene.api.events()) == 21


async def test_one_namespace_has_its_share_and_peers_are_told_of_all_the_same() -> None:
    async with telling() as scene:
        for number in range(130):
            await scene.told(READY, about=Regarding("ServiceExport", "demo", f"s-{number}", f"u-{number}"))
        # 100 at once, and one for each second that this took.
        written = len(scene.api.events())
        assert 100 <= written < 130
        await scene.told(READY, about=Regarding("MeshPeer", "", "west", "u-west"))
        assert len(scene.api.events()) == written + 1


async def test_a_crowd_in_many_namespaces_does_not_silence_peers_and_trust() -> None:
    """A defect: what is in no namespace drew from the bound of all namespaces together."""
    async with telling() as scene:
        for number in range(300):
            await scene.told(READY, about=Regarding("ServiceExport", f"n-{number}", "s", f"u-{number}"))
        written = len(scene.api.events())
        await scene.told(READY, about=Regarding("MeshPeer", "", "west", "u-west"))
        assert len(scene.api.events()) == written + 1


async def test_all_together_have_a_bound() -> None:
    async with telling() as scene:
        for number in range(300):
            await scene.told(READY, about=Regarding("ServiceExport", f"n-{number}", "s", f"u-{number}"))
        # 200 at once, and 5 for each second that this took.
        assert 200 <= len(scene.api.events()) < 290
        assert scene.counts.dropped[Dropped.SUPPRESSED] == 300 - len(scene.api.events())


async def test_what_does_not_fit_into_the_queue_is_dropped_and_whoever_tells_goes_on() -> None:
    counts, moment = EventCounts(), iter(range(0, 10**9, 1000))
    teller = EventTeller(
        Refusing().client(),
        instance="a",
        clock=lambda: NOW,
        counts=counts,
        loop_time=lambda: float(next(moment)),
    )
    for number in range(MOST_WAITING + 7):
        teller.tell(Regarding("MeshPeer", "", f"p-{number}", "u"), READY)
    assert counts.dropped[Dropped.OVERFLOW] == 7


async def test_the_metrics_page_counts_them() -> None:
    async with telling() as scene:
        await scene.told(WITHHELD, WITHHELD, READY)
        page = metrics_page(Readings(events=scene.counts)).decode()
    for line in (
        'meshctl_controller_events_written_total{type="Warning"} 1.0',
        'meshctl_controller_events_repeated_total{type="Warning"} 1.0',
        'meshctl_controller_events_dropped_total{reason="throttled"} 0.0',
    ):
        assert line in page.splitlines()


def hello(*conditions: Item) -> Item:
    return {"metadata": {"namespace": "demo", "name": "hello"}, "status": {"conditions": list(conditions)}}


def said(kind: str, status: str, reason: str) -> Item:
    return {"type": kind, "status": status, "reason": reason, "message": "because"}


@asynccontextmanager
async def watching(scene: Scene, *, ours: Window | None = None) -> AsyncIterator[Caches]:
    """A replica that leads while the block runs."""
    caches = Caches(scene.api.client("controller"))
    watch = EventWatch(caches=caches, teller=scene.teller, ours=lambda: ours, clock=lambda: NOW)
    running = asyncio.create_task(caches.run())
    await caches.until_synced()
    leading = asyncio.create_task(watch.run())
    await asyncio.sleep(0)
    yield caches
    for task in (leading, running):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def status_of(kube: KubeClient, *conditions: Item) -> None:
    body = {"status": {"conditions": list(conditions)}}
    await kube.merge_patch(SERVICE_EXPORTS, "hello", body, namespace="demo", subresource="status")


def scene() -> Scene:
    api, counts = Refusing(), EventCounts()
    teller = EventTeller(api.client("controller"), instance="c", clock=lambda: NOW, counts=counts)
    return Scene(api, teller, counts)


async def test_a_new_leader_tells_what_changes_and_nothing_of_what_was_there() -> None:
    at = scene()
    kube = at.api.client("other")
    await kube.create(SERVICE_EXPORTS, hello())
    async with watching(at):
        await status_of(kube, said("Valid", "True", "Valid"), said("Ready", "True", "Exported"))
        await until(lambda: len(at.api.events()) == 1)
    async with watching(at):
        await status_of(kube, said("Valid", "True", "Valid"), said("Ready", "False", "InvalidPolicy"))
        await until(lambda: len(at.api.events()) == 2)
    assert {one["reason"]: "series" in one for one in at.api.events()} == {
        "Exported": False,
        "InvalidPolicy": False,
    }
    (event, _) = at.api.events()
    assert event["regarding"]["uid"]
    assert event["metadata"]["namespace"] == "demo"


async def test_who_does_not_lead_tells_nothing() -> None:
    at = scene()
    kube = at.api.client("other")
    await kube.create(SERVICE_EXPORTS, hello())
    async with watching(at):
        pass
    caches = Caches(at.api.client("controller"))
    EventWatch(caches=caches, teller=at.teller, ours=lambda: None, clock=lambda: NOW)
    running = asyncio.create_task(caches.run())
    await caches.until_synced()
    await status_of(kube, said("Ready", "False", "InvalidPolicy"))

    def is_seen() -> bool:
        export = caches.exports.get("hello", namespace="demo")
        return export is not None and bool(export.status.conditions)

    await until(is_seen)
    assert at.ended == 0
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_deleted_export_is_forgotten_and_one_that_is_new_is_told_of() -> None:
    at = scene()
    kube = at.api.client("other")
    ready = (said("Valid", "True", "Valid"), said("Ready", "True", "Exported"))
    async with watching(at):
        for number in (1, 2):
            await kube.create(SERVICE_EXPORTS, hello())
            await status_of(kube, *ready)
            await until(lambda wanted=number: len(at.api.events()) == wanted)  # type: ignore[misc]  # default
            await kube.delete(SERVICE_EXPORTS, "hello", namespace="demo")
    assert len({one["regarding"]["uid"] for one in at.api.events()}) == 2


async def test_what_a_peer_says_is_one_printable_line_within_bounds_in_an_event() -> None:
    at = scene()
    kube = at.api.client("other")
    await kube.create(MESH_PEERS, {"metadata": {"name": "west"}, "spec": {}})
    hostile = "\x1b]0;owned\x07\u202e" + "A" * 30_000
    refused = {**said("RecordsAccepted", "False", "SomeRefused"), "message": hostile}
    async with watching(at, ours=Window(NOW, NOW + timedelta(days=90))):
        body = {"status": {"conditions": [refused]}}
        await kube.merge_patch(MESH_PEERS, "west", body, subresource="status")
        await until(lambda: len(at.api.events()) == 1)
    (event,) = at.api.events()
    assert event["note"].isprintable()
    assert len(event["note"].encode()) <= 1024
    assert event["metadata"]["namespace"] == "default"

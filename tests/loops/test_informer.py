"""The watch cache against an API server that misbehaves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import kmock as kmock_library
import pytest

from mesh_core.objects import ConfigMap, Meta
from mesh_fakes.exports import NOW
from mesh_fakes.http_member import Fault, HttpMember, http_client
from mesh_fakes.member_api import MemberApi
from mesh_fakes.scripted_api import (
    Answer,
    Script,
    client_of,
    config_map,
    page,
    refusal,
    serve,
    watch,
)
from mesh_fakes.waiting import until
from mesh_runtime.kube import CONFIG_MAPS, SERVICES, BadAnswer, Index, Informer

pytestmark = pytest.mark.asyncio

PATH = "/api/v1/configmaps"


@asynccontextmanager
async def running(
    server: kmock_library.RawHandler, answers: Sequence[Answer]
) -> AsyncIterator[tuple[Informer[ConfigMap], Script, list[tuple[str, str]]]]:
    """An informer under way, the script it reads, and the keys that it reported."""
    script = serve(server, PATH, answers)
    reported: list[tuple[str, str]] = []

    class Recorder:
        def add(self, key: tuple[str, str]) -> None:
            reported.append(key)

    async with client_of(server) as client:
        informer = Informer(client, CONFIG_MAPS)
        informer.feed(Recorder(), lambda item: [item.key])
        task = asyncio.create_task(informer.run())
        try:
            yield informer, script, reported
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def names(informer: Informer[ConfigMap]) -> set[str]:
    return {item.metadata.name for item in informer.values()}


async def test_it_lists_and_follows_the_watch(kmock: kmock_library.RawHandler) -> None:
    answers = [
        page(config_map("a", version=1), version=5),
        watch(
            ("ADDED", config_map("b", version=6)),
            ("MODIFIED", config_map("a", version=7, x="1")),
            ("DELETED", config_map("b", version=8)),
            ("ADDED", config_map("c", version=9)),
            hold=True,
        ),
    ]
    async with running(kmock, answers) as (informer, _script, reported):
        await until(lambda: names(informer) == {"a", "c"})
        a = informer.get("a", namespace="default")
        assert a is not None and a.data == {"x": "1"}
        assert reported.count(("default", "b")) == 2
        assert reported.count(("default", "a")) == 3  # added once, then reported as it was and as it is


async def test_a_dropped_watch_resumes_where_it_was_and_changes_nothing(
    kmock: kmock_library.RawHandler,
) -> None:
    answers = [
        page(config_map("a", version=1), version=5),
        watch(("BOOKMARK", {"metadata": {"resourceVersion": "40"}})),
        watch(hold=True),
    ]
    async with running(kmock, answers) as (informer, script, reported):
        await until(lambda: len(script.asked) == 3)
        assert script.asked[1]["resourceVersion"] == "5"
        assert script.asked[2]["resourceVersion"] == "40"
        assert names(informer) == {"a"}
        assert reported == [("default", "a")]


@pytest.mark.parametrize(
    "fault",
    [
        refusal(429, "TooManyRequests", retry_after="0"),
        refusal(500, "InternalError"),
        refusal(403, "Forbidden"),
        Answer({"metadata": "not a list"}),
    ],
    ids=["429", "500", "403", "nonsense"],
)
async def test_a_refusal_or_nonsense_after_a_good_list_removes_nothing(
    kmock: kmock_library.RawHandler, fault: Answer
) -> None:
    answers = [page(config_map("a", version=1), version=5), fault, fault, watch(hold=True)]
    async with running(kmock, answers) as (informer, script, reported):
        await until(lambda: len(script.asked) == 4)
        assert names(informer) == {"a"}
        assert reported == [("default", "a")]


@pytest.mark.parametrize(
    "gone",
    [
        refusal(410, "Expired"),
        watch(("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})),
    ],
    ids=["refused", "in the stream"],
)
async def test_too_old_leads_to_a_new_list_and_only_what_it_lacks_has_gone(
    kmock: kmock_library.RawHandler, gone: Answer
) -> None:
    answers = [
        page(config_map("a", version=1), config_map("b", version=2), version=5),
        gone,
        page(config_map("a", version=1), version=90),
        watch(hold=True),
    ]
    async with running(kmock, answers) as (informer, script, reported):
        await until(lambda: len(script.asked) == 4)
        assert names(informer) == {"a"}
        assert reported == [("default", "a"), ("default", "b"), ("default", "b")]
        assert script.asked[3]["resourceVersion"] == "90"


BAD = {**config_map("a", version=7), "data": {"x": 1}}


async def test_an_object_that_cannot_be_read_stays_as_it_was_and_hides_no_other(
    kmock: kmock_library.RawHandler,
) -> None:
    never_good = {**config_map("n", version=2), "data": "nonsense"}
    answers = [
        page(config_map("a", version=1, x="good"), never_good, version=5),
        watch(("MODIFIED", BAD), ("ADDED", config_map("b", version=8)), hold=True),
    ]
    async with running(kmock, answers) as (informer, _script, _reported):
        await until(lambda: names(informer) == {"a", "b"})
        a = informer.get("a", namespace="default")
        assert a is not None and a.data == {"x": "good"}


async def test_an_object_that_cannot_be_read_is_not_gone_until_the_server_says_so(
    kmock: kmock_library.RawHandler,
) -> None:
    answers = [
        page(config_map("a", version=1), config_map("b", version=2), version=5),
        refusal(410, "Expired"),
        page(BAD, version=10),
        watch(("ADDED", config_map("c", version=11)), hold=True),
    ]
    async with running(kmock, answers) as (informer, _script, _reported):
        await until(lambda: names(informer) == {"a", "c"})


async def test_a_cache_that_hears_its_server_calls_itself_current(kmock: kmock_library.RawHandler) -> None:
    answers = [page(version=5), watch(hold=True)]
    async with running(kmock, answers) as (informer, _script, _reported):
        assert not informer.is_current(within=60)
        await informer.synced.wait()
        assert informer.is_current(within=60)
        assert not informer.is_current(within=0)


async def test_a_cache_that_lost_its_server_does_not_call_itself_current(
    kmock: kmock_library.RawHandler,
) -> None:
    answers = [page(version=5), refusal(503, "ServiceUnavailable")]
    async with running(kmock, answers) as (informer, _script, _reported):
        await informer.synced.wait()
        await until(lambda: not informer.is_current(within=60))


async def test_a_watch_that_was_refused_once_and_then_stands_is_current_before_any_event() -> None:
    """A fresh API server refuses watches for a moment (429); its next bookmark is a minute away."""
    member = HttpMember(MemberApi(clock=lambda: NOW), faults=[Fault("WATCH", "services", status=429)])
    async with http_client(member) as client:
        informer = Informer(client, SERVICES)
        watching = asyncio.create_task(informer.run())
        try:
            await until(lambda: not member.faults and not informer.is_current(within=60))
            await until(lambda: informer.is_current(within=60))
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def test_an_unreadable_object_can_go(kmock: kmock_library.RawHandler) -> None:
    answers = [page(config_map("a", version=1), version=5), watch(("DELETED", BAD), hold=True)]
    async with running(kmock, answers) as (informer, _script, reported):
        await until(lambda: reported.count(("default", "a")) == 2)
        assert names(informer) == set()


async def test_a_list_comes_in_pages_and_counts_only_when_complete(kmock: kmock_library.RawHandler) -> None:
    answers = [
        page(config_map("a", version=1), version=5, more="token"),
        page(config_map("b", version=2), version=5),
        watch(hold=True),
    ]
    async with running(kmock, answers) as (informer, script, _reported):
        await informer.synced.wait()
        assert names(informer) == {"a", "b"}
        assert script.asked[1]["continue"] == "token"


async def test_it_is_not_synced_before_the_first_complete_list(kmock: kmock_library.RawHandler) -> None:
    answers = [
        refusal(503, "ServiceUnavailable"),
        page(config_map("a", version=1), version=5, more="token"),
        refusal(410, "Expired"),
        page(config_map("b", version=1), version=6),
        watch(hold=True),
    ]
    async with running(kmock, answers) as (informer, script, _reported):
        await until(lambda: len(script.asked) >= 3)
        assert not informer.synced.is_set() or names(informer) == {"b"}
        await informer.synced.wait()
        assert names(informer) == {"b"}


async def test_an_answer_that_cannot_be_read_is_an_error_of_ours_to_retry_and_not_a_crash(
    kmock: kmock_library.RawHandler,
) -> None:
    serve(kmock, f"{PATH.replace('configmaps', 'namespaces/default/configmaps')}/a", [Answer({"data": 1})])
    async with client_of(kmock) as client:
        with pytest.raises(BadAnswer, match="cannot be read"):
            await client.get(CONFIG_MAPS, "a", namespace="default")


async def test_an_index_counts_what_it_finds_and_forgets_what_has_gone() -> None:
    index: Index[ConfigMap, str] = Index(lambda seen: tuple(seen.data.values()))
    one = ConfigMap(metadata=Meta(name="one"), data={"x": "a"})
    index.change(one.key, old=None, new=one)
    assert (index.count("a"), index.get("a"), index.count("b")) == (1, [one], 0)
    index.change(one.key, old=one, new=None)
    assert (index.count("a"), index.get("a")) == (0, [])

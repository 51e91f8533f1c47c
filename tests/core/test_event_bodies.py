"""Events as bodies: within the bounds of the API, whatever was said."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.event_bodies import LONGEST, Regarding, event_body, one_note, regarding, series_body
from mesh_core.news import News
from mesh_core.objects import MeshPeer, Meta, ServiceExport
from mesh_fakes.exports import NOW

HELLO = regarding(ServiceExport(metadata=Meta(namespace="demo", name="hello", uid="u-1")))
WEST = regarding(MeshPeer(metadata=Meta(name="west", uid="u-2")))
WITHHELD = News("Ready", True, "InvalidPolicy", "withheld: what is meshctl.dev/alow?")
EVERYTHING = st.text(st.characters(exclude_categories=()), max_size=3000)


def test_an_event_says_what_where_and_of_whom() -> None:
    body = event_body(HELLO, news=WITHHELD, instance="controller-1", now=NOW)
    name = body["metadata"].pop("name")
    assert re.fullmatch(r"hello\.[0-9a-f]{20}", name)
    assert body == {
        "metadata": {"namespace": "demo"},
        "eventTime": NOW.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "meshctl.dev/controller",
        "reportingInstance": "controller-1",
        "regarding": {
            "apiVersion": "multicluster.x-k8s.io/v1beta1",
            "kind": "ServiceExport",
            "namespace": "demo",
            "name": "hello",
            "uid": "u-1",
        },
        "type": "Warning",
        "reason": "InvalidPolicy",
        "note": WITHHELD.words,
        "action": "Ready",
    }


def test_an_event_about_an_object_without_a_namespace_is_in_default() -> None:
    body = event_body(WEST, news=WITHHELD, instance="controller-1", now=NOW)
    assert body["metadata"]["namespace"] == "default"
    assert "namespace" not in body["regarding"]


def test_the_same_has_the_same_name_whoever_says_it_and_when_and_nothing_else_has() -> None:
    def named(about: Regarding, news: News, instance: str = "a") -> str:
        return str(event_body(about, news=news, instance=instance, now=NOW)["metadata"]["name"])

    assert named(HELLO, WITHHELD) == named(HELLO, WITHHELD, "b")
    others = [
        named(HELLO, News("Ready", False, WITHHELD.reason, WITHHELD.words)),
        named(HELLO, News("Ready", True, "Failed", WITHHELD.words)),
        named(HELLO, News("Ready", True, WITHHELD.reason, "other words")),
        named(Regarding("ServiceExport", "demo", "hello", "u-9"), WITHHELD),
        named(Regarding("ServiceImport", "demo", "hello", "u-1"), WITHHELD),
    ]
    assert len({named(HELLO, WITHHELD), *others}) == 6


def test_counting_on_is_bound_to_what_was_read() -> None:
    assert series_body(version="7", count=3, now=NOW) == {
        "metadata": {"resourceVersion": "7"},
        "series": {"count": 3, "lastObservedTime": NOW.strftime("%Y-%m-%dT%H:%M:%S.%fZ")},
    }


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("PortConflict,TypeConflict", "PortConflict"),
        ("", "Conflict"),
        ("no reason", "Conflict"),
        ("\x1b[2J", "Conflict"),
        ("R" * 129, "Conflict"),
    ],
)
def test_a_reason_is_one_word(reason: str, told: str) -> None:
    body = event_body(HELLO, news=News("Conflict", True, reason, "-"), instance="a", now=NOW)
    assert body["reason"] == told


@pytest.mark.parametrize(
    ("words", "note"),
    [
        ("", "-"),
        ("a\nb\x1b[2J", r"a\u000ab\u001b[2J"),
        ("turned \u202e around", r"turned \u202e around"),
        ("\ud800", r"\ud800"),
        ("\U000e0001", r"\U000e0001"),
        ("für alle", "für alle"),
    ],
)
def test_words_are_one_printable_line(words: str, note: str) -> None:
    assert one_note(words) == note


def test_of_long_words_the_end_stays_which_says_what_to_do() -> None:
    note = one_note(f"{'ü' * 5000}; run meshctl link again")
    assert note.endswith(" ... run meshctl link again")
    assert LONGEST - 3 < len(note.encode()) <= LONGEST


@given(EVERYTHING)
def test_whatever_was_said_a_note_is_within_the_bounds_of_the_api(words: str) -> None:
    note = one_note(words)
    assert note.isprintable()
    assert 0 < len(note.encode()) <= LONGEST


@given(st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?", fullmatch=True), EVERYTHING)
def test_whatever_it_is_about_an_events_name_is_a_name(name: str, words: str) -> None:
    about = Regarding("MeshPeer", "", name, "u")
    body = event_body(about, news=News("Connected", True, words, words), instance=words, now=NOW)
    assert len(body["metadata"]["name"]) <= 253
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", body["metadata"]["name"])

"""What a gateway says of a service of a peer, and when it tries."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh_core.objects import Meta, ServiceProbe, ServiceProbeSpec
from mesh_core.service_probe import (
    EVERY,
    LONGEST_RESULT,
    MOST_A_SECOND,
    Found,
    entry_of,
    found_in,
    is_over,
    pause,
    result_text,
)

NOW = datetime(2026, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def probe(until: str) -> ServiceProbe:
    spec = ServiceProbeSpec(service="demo/hello", cluster="east", until=until)
    return ServiceProbe(metadata=Meta(name="one", namespace="meshctl-system"), spec=spec)


@pytest.mark.parametrize(
    ("until", "over"),
    [
        ((NOW + timedelta(seconds=1)).isoformat(), False),
        ("2026-05-01T14:00:01+02:00", False),
        (NOW.isoformat(), True),
        ("2026-05-01T12:00:00Z", True),
        ("2026-05-01T13:00:00", True),
        ("for ever", True),
        ("", True),
    ],
)
def test_a_probe_is_tried_until_its_time_and_one_without_a_time_never(until: str, over: bool) -> None:
    assert is_over(probe(until), now=NOW) is over


@pytest.mark.parametrize("found", Found)
def test_a_result_reads_as_it_was_written_with_a_sentence_or_without(found: Found) -> None:
    assert found_in(result_text(found)) is found
    assert found_in(result_text(found, why="cluster east: what it says")) is found
    assert len(result_text(found, why="x" * 2_000)) == LONGEST_RESULT


def test_a_word_of_a_later_version_is_a_refusal_and_none_that_is_good() -> None:
    assert found_in("Marvellous: everything is fine") is Found.REFUSED
    assert found_in("OKAY") is Found.REFUSED
    assert found_in("") is Found.REFUSED


def test_many_probes_are_tried_less_often_each() -> None:
    assert pause(1) == EVERY
    assert all(count / pause(count) <= MOST_A_SECOND for count in range(1, 2_000))


def test_an_entry_names_its_gateway_and_the_millisecond_of_its_try() -> None:
    assert entry_of(probe(""), gateway="10.0.0.1", result="OK", now=NOW) == {
        "metadata": {"name": "one", "namespace": "meshctl-system"},
        "status": {"results": [{"gateway": "10.0.0.1", "result": "OK", "at": "2026-05-01T12:00:00.250Z"}]},
    }

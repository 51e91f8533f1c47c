"""What the DNS server counts and shows: all of it, and no more lines than there are kinds."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mesh_dns.counts import NO_TYPE, OTHER, RCODES, TRANSPORTS, TYPES, Counts, Drop
from mesh_dns.metrics_page import Readings, metrics_page

PREFIX = "meshctl_dns_"
IDLE = Readings(
    ready=True, complete=True, from_snapshot=False, unkept=False, services=0, connections=0, age=None
)
BUSY = Readings(
    ready=False, complete=True, from_snapshot=True, unkept=True, services=7, connections=3, age=12.5
)


def samples(counts: Counts, *, readings: Readings = IDLE) -> dict[str, float]:
    """Each sample of the page as `name{label=value,...}` without our prefix, as another reader finds it."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics_page(counts, readings=readings).decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix(PREFIX)}{{{labels}}}"] = sample.value
    return found


def one_of_each() -> Counts:
    counts = Counts()
    counts.replies[:] = [1] * len(counts.replies)
    counts.drops[:] = [place + 1 for place in range(len(Drop))]
    counts.memo_hits, counts.limited, counts.crowded_out = 5, 6, 7
    return counts


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        ("replies_total{rcode=NOERROR,transport=udp,type=A}", 2),
        ("replies_total{rcode=other,transport=tcp,type=other}", 2),
        ("replies_total{rcode=FORMERR,transport=udp,type=none}", 2),
        ("truncated_total{transport=udp}", len(TYPES) * len(RCODES)),
        ("memo_hits_total{}", 5),
        ("limited_total{}", 6),
        ("tcp_crowded_out_total{}", 7),
        ("dropped_total{reason=no_query}", 1),
        ("dropped_total{reason=limited}", 2),
        ("dropped_total{reason=unsent}", 3),
        ("ready{}", 0),
        ("complete{}", 1),
        ("from_snapshot{}", 1),
        ("snapshot_failed{}", 1),
        ("services{}", 7),
        ("tcp_connections{}", 3),
        ("data_age_seconds{}", 12.5),
    ],
)
def test_everything_that_is_counted_is_shown(sample: str, value: float) -> None:
    assert samples(one_of_each(), readings=BUSY)[sample] == value


def test_a_server_that_was_asked_nothing_shows_no_type_and_no_age() -> None:
    found = samples(Counts())
    assert not [name for name in found if "type=" in name or name.startswith("data_age")]
    assert found["ready{}"] == 1
    assert any(name.startswith("build_info{version=") for name in found)
    assert found["process_resident_memory_bytes{}"] > 0


def test_a_page_has_a_bounded_number_of_lines() -> None:
    shown = [name for name in samples(one_of_each(), readings=BUSY) if name.startswith("replies_total")]
    assert len(shown) == len(TRANSPORTS) * len(TYPES) * len(RCODES) < 300


def test_the_list_in_the_docs_is_complete() -> None:
    """Every metric, every value of a closed list: docs/metrics.md is a promise."""
    text = (Path(__file__).parents[2] / "docs/metrics.md").read_text().partition("# What a DNS server")[2]
    text = text.partition("\n# What a controller")[0]
    page = metrics_page(one_of_each(), readings=BUSY).decode()
    names = {line.split()[2] for line in page.splitlines() if line.startswith(f"# TYPE {PREFIX}")}
    values = {*TRANSPORTS, *TYPES, *RCODES, OTHER, NO_TYPE, *(why.name.lower() for why in Drop)}
    wanted = {name.removeprefix(PREFIX) for name in names} | values
    assert not {word for word in wanted if f"`{word}`" not in text}
    # And nothing is listed that is not there; `build_info` is of a kind of its own.
    assert len(names) == text.count("| counter |") + text.count("| gauge |") + 1

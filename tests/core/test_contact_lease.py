"""The Lease of a peer: what it says of the last word and the last acknowledgement, and what of it is read."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.contact_lease import (
    ACKNOWLEDGED_AT,
    ACKNOWLEDGED_REVISION,
    Acknowledged,
    acknowledged_of,
    contact_lease,
)
from mesh_core.objects import Lease

NOW = datetime(2026, 3, 1, 12, 0, 3, 250_000, tzinfo=UTC)


def written(acknowledged: Acknowledged | None) -> Lease:
    return msgspec.convert(
        contact_lease("west", heard=NOW, acknowledged=acknowledged, holder="me"), Lease, strict=False
    )


@given(
    st.integers(min_value=0, max_value=2**63 - 1),
    st.datetimes(timezones=st.just(UTC), min_value=datetime.fromisoformat("1000-01-01")),
)
def test_what_is_written_is_read_again(revision: int, at: datetime) -> None:
    assert acknowledged_of(written(Acknowledged(revision, at))) == Acknowledged(revision, at)


def test_before_the_first_list_nothing_is_acknowledged() -> None:
    lease = written(None)
    assert (lease.metadata.name, lease.spec.renew_time) == ("peer-west", "2026-03-01T12:00:03.250000Z")
    assert acknowledged_of(lease) is None


@pytest.mark.parametrize(
    ("revision", "at"),
    [
        ("", "2026-03-01T12:00:00Z"),
        ("-1", "2026-03-01T12:00:00Z"),
        ("1" * 20, "2026-03-01T12:00:00Z"),
        ("٣", "2026-03-01T12:00:00Z"),
        ("1", ""),
        ("1", "yesterday"),
        ("1", "2026-03-01T12:00:00"),
    ],
)
def test_what_does_not_read_is_as_not_said(revision: str, at: str) -> None:
    annotations = {ACKNOWLEDGED_REVISION: revision, ACKNOWLEDGED_AT: at}
    lease = msgspec.convert({"metadata": {"name": "peer-west", "annotations": annotations}}, Lease)
    assert acknowledged_of(lease) is None

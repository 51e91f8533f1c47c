"""From when what served an export may go."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.objects import MeshPeer
from mesh_core.plan import Apply
from mesh_core.unexports import MOST, plan_unexports
from mesh_placement.decide.export_withdrawal import SETTLE, all_have_heard, may_go_at
from mesh_placement.decide.withdrawal import DRAIN

seconds = st.floats(min_value=0, max_value=1e6)


def peer(*applied: str) -> MeshPeer:
    return msgspec.convert({"metadata": {"name": "p"}, "status": {"appliedUnexports": applied}}, MeshPeer)


@pytest.mark.parametrize(
    ("peers", "uids", "heard"),
    [
        ([peer("a", "b"), peer("b", "a")], {"a", "b"}, True),
        ([peer("a"), peer("a", "b")], {"a", "b"}, False),
        ([peer("a"), peer()], {"a"}, False),
        ([], {"a"}, True),
        (None, {"a"}, False),
        ([peer("a")], {"a", ""}, False),
    ],
)
def test_everybody_has_heard_when_each_peer_shows_every_export(
    peers: list[MeshPeer] | None, uids: set[str], heard: bool
) -> None:
    assert all_have_heard(peers, uids) is heard


@given(withdrawn=seconds, after=seconds | st.none())
def test_it_waits_for_calls_to_end_and_never_longer_than_without_a_word(
    withdrawn: float, after: float | None
) -> None:
    longest = withdrawn + DRAIN.total_seconds()
    heard = None if after is None else withdrawn + after
    at = may_go_at(withdrawn=withdrawn, heard=heard)
    assert at <= longest
    assert at == longest if heard is None else at >= min(longest, heard + SETTLE)


def test_only_the_newest_are_shown_and_nothing_is_written_twice() -> None:
    many = [f"uid-{number}" for number in range(MOST + 5)]
    (write,) = plan_unexports(peer(), applied=many)
    assert isinstance(write, Apply)
    assert write.body["status"]["appliedUnexports"] == many[5:]
    assert plan_unexports(peer(*many[5:]), applied=many) == ()
    assert plan_unexports(peer("from-another-life"), applied=()) == ()

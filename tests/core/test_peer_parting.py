"""Which MeshPeers go when a hub says that their clusters leave, and which stay whatever it says."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh_core.conditions import rfc3339
from mesh_core.objects import Condition, MeshPeer, MeshPeerSpec, MeshPeerStatus, Meta
from mesh_placement.decide.peer_parting import peers_to_drop
from mesh_placement.objects import LeavingPeer

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LEAVING = (LeavingPeer(cluster="west", since=rfc3339(NOW - timedelta(minutes=1))),)


def peer(
    status: str, reason: str, *, minutes: float = 1, age: float = 60, keep: bool = False, name: str = "west"
) -> MeshPeer:
    """Connected as it says since `minutes`; made `age` minutes ago."""
    since = rfc3339(NOW - timedelta(minutes=minutes))
    shown = Condition(type="Connected", status=status, reason=reason, last_transition_time=since)
    return MeshPeer(
        metadata=Meta(
            name=name,
            creation_timestamp=rfc3339(NOW - timedelta(minutes=age)),
            annotations={"placement.meshctl.dev/keep": "true"} if keep else {},
        ),
        spec=MeshPeerSpec(),
        status=MeshPeerStatus(conditions=(shown,)),
    )


@pytest.mark.parametrize(
    ("seen", "goes", "waits"),
    [
        (peer("False", "Left"), True, False),
        (peer("True", "Synced"), False, True),
        (peer("False", "Unreachable", minutes=9), False, True),
        (peer("False", "Unreachable", minutes=10), True, False),
        (peer("Unknown", "Unreachable", minutes=10), True, False),
        (peer("False", "Left", age=0.5), False, False),
        (peer("False", "Left", keep=True), False, False),
        (peer("False", "Left", name="north"), False, False),
        (MeshPeer(metadata=Meta(name="west"), spec=MeshPeerSpec()), False, False),
    ],
    ids=[
        "said good-bye",
        "connected",
        "away for a moment",
        "away for long",
        "unknown for long",
        "linked anew",
        "kept",
        "not named",
        "of unknown age",
    ],
)
def test_a_word_of_the_hub_alone_cuts_no_way_that_works(seen: MeshPeer, goes: bool, waits: bool) -> None:
    found = peers_to_drop(LEAVING, peers=[seen], now=NOW)
    assert (found.drop == (seen,), found.is_waiting) == (goes, waits)


@pytest.mark.parametrize("since", ["", "soon", "2026-05-01T12:00:00"])
def test_a_time_that_does_not_read_proves_nothing(since: str) -> None:
    entry = LeavingPeer(cluster="west", since=since)
    assert peers_to_drop((entry,), peers=[peer("False", "Left")], now=NOW).drop == ()

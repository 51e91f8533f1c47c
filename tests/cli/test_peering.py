"""Who may be whose peer, and what a MeshPeer says of the connection."""

from dataclasses import replace

import pytest

from mesh_cli.member.peering import NoPeerOfIts, check_belief, check_pair, connection, dials
from mesh_core.identity import cluster_id, domain
from mesh_core.membership import Membership
from mesh_core.objects import Condition, Dial, MeshPeer, MeshPeerSpec, MeshPeerStatus, Meta
from mesh_core.trust import Trust


def member(name: str, *, of: str = "clusterset.internal", roots: tuple[str, ...] = ("root",)) -> Membership:
    return Membership(cluster=cluster_id(name), domain=domain(of), roots=roots)


def test_two_members_under_one_root_may_be_peers_even_while_roots_change() -> None:
    for west in (member("west"), member("west", roots=("new", "root"))):
        check_pair(member("east"), west)
        check_belief(member("east"), west)


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (member("east"), "both contexts are members under the cluster id east"),
        (member("west", of="other.internal"), "east is a member of clusterset.internal, west of other"),
        (member("west", roots=("another",)), "trust different roots"),
    ],
)
def test_others_may_not(other: Membership, complaint: str) -> None:
    with pytest.raises(NoPeerOfIts, match=complaint):
        check_pair(member("east"), other)
        check_belief(member("east"), other)


def test_members_that_a_roster_does_not_name_are_no_peers_but_those_of_a_pool_are() -> None:
    roster = Trust(generation=7, roster={"east": frozenset({"k"})})
    east, west = (replace(member(name), trust=roster) for name in ("east", "west"))
    with pytest.raises(NoPeerOfIts, match="generation 7 of the trust bundle does not know west; run meshctl"):
        check_belief(east, west)
    check_belief(east, replace(west, pool="lab"))


def says(dial: Dial) -> MeshPeer:
    return MeshPeer(metadata=Meta(name="p"), spec=MeshPeerSpec(dial=dial))


@pytest.mark.parametrize(
    ("wanted", "seen", "expected"),
    [
        (None, (None, None), ("both", "both")),
        ("both", (says("outbound"), says("inbound")), ("both", "both")),
        ("outbound", (None, says("both")), ("outbound", "inbound")),
        ("inbound", (None, None), ("inbound", "outbound")),
        (None, (says("outbound"), None), ("outbound", "inbound")),
        (None, (None, says("outbound")), ("inbound", "outbound")),
        (None, (says("inbound"), says("outbound")), ("inbound", "outbound")),
    ],
)
def test_two_sides_say_of_who_dials_what_goes_together(
    wanted: Dial | None, seen: tuple[MeshPeer | None, MeshPeer | None], expected: tuple[Dial, Dial]
) -> None:
    assert dials(wanted, seen=seen) == expected


def test_a_condition_that_was_computed_from_older_addresses_says_nothing() -> None:
    connected = Condition(type="Connected", status="True", observed_generation=1)
    status = MeshPeerStatus(conditions=(Condition(type="Other", status="True"), connected))
    assert connection(MeshPeer(metadata=Meta(name="p", generation=1), status=status)) == connected
    assert connection(MeshPeer(metadata=Meta(name="p", generation=2), status=status)) is None
    assert connection(MeshPeer(metadata=Meta(name="p"))) is None
    assert connection(None) is None

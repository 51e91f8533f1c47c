"""What clusters and gateways say, as one picture: who is drawn, how links are, which services want a look."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_cli.graph.drawing import draw, rated
from mesh_cli.graph.layout import BOX, arrange
from mesh_cli.graph.picture import Picture, State, in_print
from mesh_cli.graph.render import as_html, as_svg, picture_as_json
from mesh_cli.status.survey import NotSeen, PeerSeen
from mesh_core.objects import Condition
from mesh_fakes.pictures import (
    HEARD,
    LONG_AGO,
    connected,
    export,
    gateways,
    imported,
    member,
    peer,
    surveys,
    traffic,
)


def picture_of(*peers: PeerSeen) -> Picture:
    """east, which has these peers."""
    return draw(*surveys(member("east", peers=peers)))


def test_a_peer_that_was_not_asked_is_drawn_and_said_so() -> None:
    picture = picture_of(peer("west"))
    east, west = picture.clusters
    assert (east.name, east.state) == ("east", State.FINE)
    assert (west.name, west.state, west.context) == ("west", State.UNKNOWN, "")
    assert "add --context" in west.note
    assert picture.is_whole


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (peer("west"), State.FINE),
        (peer("west", heard=LONG_AGO), State.STALE),
        (peer("west", heard=""), State.STALE),
        (peer("west", condition=connected("False", "Unreachable")), State.DOWN),
        (peer("west", condition=connected("False", "Unreachable"), heard=LONG_AGO), State.DOWN),
        (peer("west", condition=connected("Unknown", "")), State.UNKNOWN),
        (replace(peer("west"), connected=None), State.UNKNOWN),
        (replace(peer("west"), last_contact="yesterday"), State.STALE),
    ],
)
def test_a_link_is_as_the_peer_says_and_as_old_as_it_was_heard(seen: PeerSeen, expected: State) -> None:
    (link,) = picture_of(seen).links
    assert link.state is expected
    assert (link.note != "") == (expected is not State.FINE)


def test_a_link_is_as_its_worse_end_sees_it() -> None:
    down = connected("False", "Unreachable", "no address answers")
    there = member("west", peers=(peer("east", condition=down),))
    picture = draw(*surveys(member("east", peers=(peer("west"),)), there))
    (link,) = picture.links
    assert (link.first, link.second, link.state) == ("east", "west", State.DOWN)
    assert link.note == "west: no address answers"


def test_traffic_is_added_up_over_gateways_and_read_from_either_end() -> None:
    here = member("east", peers=(peer("west"),))
    told = gateways("east", (traffic("west"),), (traffic("west", rtt=0.05),), "it does not answer")
    picture = draw(*surveys(here, told=(told,)))
    (link,) = picture.links
    assert (link.forth, link.back, link.rtt, link.streams) == (2048, 4096, 0.05, 10)
    assert picture.clusters[0].note == "gateway gw-2: it does not answer"
    assert picture.clusters[0].state is State.TROUBLED


def test_a_rate_is_what_came_between_two_pictures_and_none_after_a_new_beginning() -> None:
    here = member("east", peers=(peer("west"),))

    def at(second: int, *, sent: int, received: int) -> Picture:
        told = gateways("east", (traffic("west", sent=sent, received=received),))
        return draw(*surveys(here, told=(told,), at=f"2026-03-01T12:00:{second:02}Z"))

    (link,) = rated(at(4, sent=5000, received=10), before=at(2, sent=1000, received=4096)).links
    assert (link.forth_rate, link.back_rate) == (2000.0, None)
    same = at(4, sent=1, received=1)
    assert rated(same, before=same) == same


def test_a_service_has_who_exports_and_imports_it_and_its_conflict() -> None:
    conflict = Condition(type="Conflict", status="True", reason="PortConflict", message="port 80 differs")
    withheld = Condition(type="Valid", status="False", reason="NoService", message="")
    east = member(
        "east",
        exports=(export("hello", conflict), export("gone", withheld)),
        imports=(imported("hello", "east"),),
    )
    west = member("west", imports=(imported("hello", "east", "north"),))
    gone, hello = draw(*surveys(east, west)).services
    assert (hello.exporters, hello.importers) == (("east", "north"), ("east", "west"))
    assert (hello.state, hello.conflict) == (State.TROUBLED, "east: port 80 differs")
    assert (gone.state, gone.trouble) == (State.DOWN, "east: NoService")


def test_a_context_that_does_not_answer_is_the_cluster_that_a_peer_knows_by_its_name() -> None:
    picture = draw(*surveys(member("east", peers=(peer("west"),)), NotSeen("west", "refused")))
    assert [(one.name, one.state) for one in picture.clusters] == [
        ("east", State.FINE),
        ("west", State.DOWN),
    ]
    assert not picture.is_whole


def test_a_silent_context_with_the_name_of_a_cluster_that_answered_hides_it_not() -> None:
    picture = draw(*surveys(NotSeen("east", "refused"), member("east", context="other")))
    assert [(one.name, one.state) for one in picture.clusters] == [
        ("east", State.FINE),
        ("east (context)", State.DOWN),
    ]


def test_two_contexts_of_one_cluster_are_one_cluster() -> None:
    twice = (member("east", context="a"), member("east", context="b"))
    assert [one.context for one in draw(*surveys(*twice)).clusters] == ["a"]


def test_a_cluster_that_is_no_member_is_drawn_and_says_why() -> None:
    picture = draw(*surveys(member("new", why="there is no TrustBundle; run meshctl join")))
    assert [(one.name, one.state) for one in picture.clusters] == [("ctx-new", State.UNKNOWN)]
    assert picture.clusters[0].note == "there is no TrustBundle; run meshctl join"


def test_the_title_counts_what_wants_somebody_to_look() -> None:
    picture = picture_of(peer("west", heard=LONG_AGO), peer("north"))
    assert picture.title == "3 clusters (2 unknown), 2 links (1 stale), 0 services"


@pytest.mark.parametrize("render", [as_svg, as_html, picture_as_json])
def test_the_same_surveys_give_the_same_bytes_whatever_their_order(render) -> None:  # type: ignore[no-untyped-def]  # parametrized
    names = [f"c{number}" for number in range(7)]
    members = [member(name, peers=tuple(peer(other) for other in names if other != name)) for name in names]
    told = tuple(gateways(name, tuple(traffic(other) for other in names)) for name in names)
    first = render(draw(*surveys(*members, told=told)))
    random.Random(7).shuffle(members)
    assert render(draw(*surveys(*members, told=told[::-1]))) == first


@given(st.integers(min_value=0, max_value=60))
def test_no_two_clusters_stand_on_one_another_and_all_are_inside(count: int) -> None:
    names = [str(number) for number in range(count)]
    drawn = arrange(names)
    points = list(drawn.places.values())
    for number, one in enumerate(points):
        assert BOX[0] / 2 <= one.x <= drawn.width - BOX[0] / 2
        assert BOX[1] / 2 <= one.y <= drawn.height - BOX[1] / 2
        for other in points[:number]:
            assert abs(one.x - other.x) >= BOX[0] or abs(one.y - other.y) >= BOX[1]


@given(st.text(max_size=400), st.integers(min_value=1, max_value=100))
def test_what_is_shown_is_one_printable_line_and_never_too_long(text: str, most: int) -> None:
    shown = in_print(text, most=most)
    assert shown.isprintable() or not shown
    assert len(shown) <= most
    assert in_print(shown, most=most) == shown


def test_a_peer_that_was_heard_is_not_taken_for_stale_by_a_clock_that_is_behind() -> None:
    assert picture_of(peer("west", heard="2026-03-01T12:00:09Z")).links[0].ends[0].heard == 0.0
    assert HEARD < "2026-03-01T12:00:00Z"

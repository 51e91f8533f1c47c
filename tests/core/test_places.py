"""Places for what is carried: whom one kind of traffic, and one source, peer or service, leaves room for."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.heaviest import Heaviest
from mesh_gateway.limits import Limits
from mesh_gateway.places import AT_DOOR, INWARD, PASSED, Claim, Places, Share

LIMITS = Limits(
    connections=80,
    streams_per_source=20,
    public=30,
    public_per_service=10,
    passed_through=8,
    reserved_per_peer=3,
)


def taken(places: Places, claim: Claim, *, tries: int = 1000) -> int:
    """How many of so many tries got a place."""
    return sum(places.take(claim) for _ in range(tries))


def source(number: int) -> Claim:
    return Claim(Share.EGRESS, f"10.1.0.{number}")


def test_one_pod_cannot_take_the_places_of_all_other_pods() -> None:
    places = Places(LIMITS)
    assert taken(places, source(1)) == 20
    assert taken(places, source(2)) == 20
    assert not places.take(source(1))
    places.give_back(source(1))
    assert places.take(source(1))


def test_headroom_is_what_local_pods_may_still_open() -> None:
    places = Places(LIMITS)
    assert places.headroom == 1.0
    assert taken(places, AT_DOOR, tries=40) == 40 and places.headroom == 1.0, "strangers take none of it"
    assert taken(places, INWARD, tries=40) == 40 and places.headroom == 0.5
    for number in range(3):
        taken(places, source(number))
    assert places.headroom == 0.0 and not places.take(source(9))


def test_idle_connections_of_local_pods_shut_out_neither_peers_nor_the_doors() -> None:
    places = Places(LIMITS)
    assert sum(taken(places, source(number)) for number in range(10)) == 70
    assert taken(places, INWARD) == 10
    assert places.take(AT_DOOR)
    assert places.take(PASSED)
    assert places.take(Claim(Share.RESERVED, "west"))


def test_streams_of_peers_and_strangers_to_public_names_leave_room_for_local_pods() -> None:
    places = Places(LIMITS)
    assert sum(taken(places, Claim(Share.PUBLIC, f"demo/s{number}")) for number in range(5)) == 30
    assert taken(places, INWARD) == 40
    assert taken(places, source(1)) == 10


def test_one_public_name_does_not_close_those_of_other_services() -> None:
    places = Places(LIMITS)
    assert taken(places, Claim(Share.PUBLIC, "demo/shop")) == 10
    assert taken(places, Claim(Share.PUBLIC, "other/shop")) == 10


def test_one_linked_member_does_not_shut_the_controllers_door_for_others() -> None:
    places = Places(LIMITS)
    assert taken(places, Claim(Share.RESERVED, "west")) == 3
    assert taken(places, Claim(Share.RESERVED, "north")) == 3
    assert taken(places, Claim(Share.RESERVED, "south")) == 2, "all together"
    assert taken(places, PASSED) == 8, "past our TLS there are as many again"


def test_streams_to_our_api_server_leave_room_for_those_to_our_controller_and_for_services() -> None:
    places = Places(replace(LIMITS, api_server=9, api_server_per_peer=6))
    assert taken(places, Claim(Share.API_SERVER, "hub")) == 6
    assert taken(places, Claim(Share.API_SERVER, "other-hub")) == 3, "all together"
    assert taken(places, Claim(Share.RESERVED, "hub")) == 3
    assert taken(places, INWARD) == 70


_CLAIMS = st.sampled_from(
    [
        INWARD,
        PASSED,
        AT_DOOR,
        source(1),
        source(2),
        Claim(Share.PUBLIC, "demo/shop"),
        Claim(Share.RESERVED, "west"),
        Claim(Share.API_SERVER, "west"),
    ]
)


@given(st.lists(st.tuples(_CLAIMS, st.booleans()), max_size=200))
def test_whatever_is_taken_and_given_back_the_count_is_right_and_no_bound_is_passed(
    history: list[tuple[Claim, bool]],
) -> None:
    limits = Limits(
        connections=8,
        streams_per_source=3,
        public=4,
        public_per_service=2,
        passed_through=3,
        reserved_per_peer=2,
        api_server=4,
        api_server_per_peer=3,
    )
    places = Places(limits)
    held: Counter[Claim] = Counter()
    for claim, gives_back in history:
        if gives_back and held[claim]:
            places.give_back(claim)
            held[claim] -= 1
        elif places.take(claim):
            held[claim] += 1
        assert places.taken == held.total()
        streams = sum(
            n for claim, n in held.items() if claim.share in (Share.EGRESS, Share.INGRESS, Share.PUBLIC)
        )
        assert streams <= limits.connections
        assert max(held[source(1)], held[source(2)]) <= 3
        assert held[Claim(Share.RESERVED, "west")] <= 2
        assert held[Claim(Share.API_SERVER, "west")] <= 3


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=100))
def test_the_one_who_has_most_is_known_after_whatever_happened(history: list[tuple[str, int]]) -> None:
    known: Heaviest[str, int] = Heaviest()
    things: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for number, (owner, deed) in enumerate(history):
        mine = things[owner]
        if deed == 0 and mine:
            known.remove(owner, mine.pop(len(mine) // 2))
        elif deed == 1 and mine:
            known.use(owner, mine[0])
            mine.append(mine.pop(0))
        else:
            known.add(owner, number)
            mine.append(number)
        assert {one: known.count(one) for one in things} == {one: len(of) for one, of in things.items()}
        assert [known.oldest(one) for one in things] == [next(iter(of), None) for of in things.values()]
        most = max(map(len, things.values()))
        heads: list[int | None] = [of[0] for of in things.values() if most and len(of) == most]
        assert known.oldest() in (heads or [None])

"""What one peer keeps of the egress ports: by holding them, and by leaving them at rest (ruling 11)."""

import pytest

from mesh_core.port_wear import MOST_OF_ONE, PortWear, peer_of_target
from mesh_core.ports import REST, PortTarget
from mesh_core.record import RecordPort

HTTP = RecordPort(port=80, name="http")
EVIL = RecordPort(port=81, name="evil")


def test_a_peer_that_changes_names_for_ever_is_full_and_others_are_not() -> None:
    wear, held, turns = PortWear(), 100, 0
    while not wear.is_full("mallory", now=REST - 1):
        gone = range((turns - 1) * held, turns * held) if turns else ()
        wear.change("mallory", before=gone, after=range(turns * held, (turns + 1) * held), now=0)
        turns += 1
    assert MOST_OF_ONE <= turns * held < MOST_OF_ONE + held
    assert not wear.is_full("east", now=REST - 1)


def test_what_has_rested_counts_no_more() -> None:
    wear = PortWear()
    wear.change("mallory", before=(), after=range(MOST_OF_ONE), now=0)
    assert wear.is_full("mallory", now=0), "what is held counts too"
    wear.change("mallory", before=range(MOST_OF_ONE), after=(), now=100)
    assert wear.is_full("mallory", now=100 + REST - 1)
    assert not wear.is_full("mallory", now=100 + REST)


def test_a_port_that_a_peer_gets_back_counts_once() -> None:
    wear, ports = PortWear(), range(MOST_OF_ONE - 1)
    for now in range(3):
        wear.change("east", before=(), after=ports, now=now)
        assert not wear.is_full("east", now=now)
        wear.change("east", before=ports, after=(), now=now)
        assert not wear.is_full("east", now=now)


def test_a_port_in_two_slices_counts_once_and_until_both_are_gone() -> None:
    wear = PortWear()
    ports = range(MOST_OF_ONE)
    wear.change("east", before=(), after=ports, now=0)
    wear.change("east", before=(), after=ports, now=0)
    wear.change("east", before=ports, after=(), now=0)
    assert wear.is_full("east", now=REST), "the other slice still has them"


@pytest.mark.parametrize(
    ("target", "peer"),
    [
        (PortTarget("demo", "hello", "http"), ""),
        (PortTarget("demo", "hello", "evil"), "mallory"),
        (PortTarget("demo", "hello", "own"), "east"),
        (PortTarget("demo", "hello", "nobodys"), ""),
        (PortTarget("demo", "db", "db", cluster="north", endpoint="db-0"), "north"),
    ],
)
def test_a_port_is_asked_for_on_behalf_of_the_only_peer_that_serves_it(target: PortTarget, peer: str) -> None:
    own = RecordPort(port=82, name="own")
    serving = {"west": (HTTP, own), "east": (HTTP, own), "mallory": (HTTP, EVIL)}
    assert peer_of_target(target, serving=serving, cluster="west") == peer

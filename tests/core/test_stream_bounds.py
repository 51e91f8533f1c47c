"""Places for streams, and lines in the log, of which others could take as many as they like."""

from contextlib import ExitStack

import pytest

from mesh_controller.rare_lines import EVERY, MOST_OF_ONE_KEY, RareLines
from mesh_controller.stream_places import MOST_OF_ONE, MOST_STREAMS, StreamPlaces
from mesh_core.peer_wire import PeerProtocolError


def test_places_are_bounded_for_a_cluster_and_in_total_and_come_free_again() -> None:
    places = StreamPlaces()
    for _ in range(2):
        with ExitStack() as stack:
            for number in range(MOST_STREAMS):
                peer = f"m{number // MOST_OF_ONE}"
                stack.enter_context(places.taken(peer, key=peer))
                if number == MOST_OF_ONE - 1:
                    with (
                        pytest.raises(PeerProtocolError, match="16 streams of m0"),
                        places.taken("m0", key=""),
                    ):
                        pass
            with pytest.raises(PeerProtocolError, match="256 streams"), places.taken("last", key="last"):
                pass


def test_a_line_comes_once_a_minute_and_new_words_do_not_make_it_more() -> None:
    lines = RareLines()
    assert [lines.is_due("west", "why", key="a", now=now) for now in (0, 1, EVERY - 1, EVERY)] == [
        *(True, False, False, True)
    ]
    said = [lines.is_due(f"w{number}", f"why {number}", key="a", now=EVERY + 1) for number in range(100)]
    assert sum(said) == MOST_OF_ONE_KEY - 1
    assert lines.is_due("east", "why", key="b", now=EVERY + 1), "another key has lines of its own"

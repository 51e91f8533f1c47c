"""Which generation of the trust bundle a process and a cluster have settled on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.settled import settled_cluster, settled_generation


@pytest.mark.parametrize(
    ("before", "generation", "shows_named", "settled"),
    [
        (0, 3, True, 3),
        (3, 3, True, 3),
        (3, 4, False, 3),
        (3, 4, True, 4),
        (0, 4, False, 0),
        (7, 2, True, 2),
        (7, 2, False, 2),
    ],
)
def test_a_process_settles_when_it_shows_what_is_named(
    before: int, generation: int, shows_named: bool, settled: int
) -> None:
    assert settled_generation(before, generation=generation, shows_named=shows_named) == settled


@pytest.mark.parametrize(
    ("own", "replicas", "settled"),
    [
        (4, [], 4),
        (4, ["4", "4"], 4),
        (4, ["4", "3"], 3),
        (3, ["4"], 3),
        (4, ["4", None], 0),
        (4, ["four"], 0),
        (4, ["-1"], 0),
        (4, [""], 0),
        (4, ["²"], 0),
        (4, ["9" * 5000], 0),
    ],
)
def test_a_cluster_has_settled_on_the_lowest_of_its_processes(
    own: int, replicas: list[str | None], settled: int
) -> None:
    assert settled_cluster(own, replicas=replicas) == settled


@given(
    own=st.integers(min_value=0, max_value=9),
    replicas=st.lists(st.integers(min_value=0, max_value=9)),
    slow=st.integers(min_value=0, max_value=9),
)
def test_one_more_gateway_never_makes_a_cluster_look_further(
    own: int, replicas: list[int], slow: int
) -> None:
    said: list[str | None] = [str(one) for one in replicas]
    assert settled_cluster(own, replicas=[*said, str(slow)]) <= settled_cluster(own, replicas=said) <= own

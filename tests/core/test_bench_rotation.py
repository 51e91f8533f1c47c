"""What a benchmark of a rotation says that was left behind."""

import pytest

from mesh_bench.rotation_end import Counts, End, Ending, ending, restarts_between
from mesh_core.objects.trust import Rotation
from mesh_core.trust_statement import Held
from mesh_fakes.clusterset import FakeClusterset
from mesh_runtime.trust_signing import accepted_statement


@pytest.mark.parametrize(
    ("after", "restarts"),
    [
        pytest.param({"a": 1, "b": 0}, 0, id="nothing happened"),
        pytest.param({"a": 3, "b": 0}, 2, id="a container was restarted"),
        pytest.param({"a": 1, "c": 0}, 1, id="a pod was replaced"),
        pytest.param({"a": 1, "b": 0, "c": 2}, 3, id="a new pod was restarted too"),
    ],
)
def test_a_pod_that_is_another_one_counts_as_a_restart(after: Counts, restarts: int) -> None:
    assert restarts_between({"a": 1, "b": 0}, after) == restarts


def end(east: Ending, west: Ending) -> End:
    return End((east, west))


def over(cluster: str, generation: int, *, key: str = "1") -> Ending:
    return Ending(cluster, generation, roots=1, members=(("east", key),))


CALM = end(over("east", 5), over("west", 5))


def test_an_end_is_the_same_as_another_apart_from_the_number() -> None:
    later = end(over("east", 9), over("west", 9))
    assert later.is_like(CALM)
    assert later.as_text(undisturbed=CALM).endswith(
        "the same as after the undisturbed one apart from the number"
    )
    assert later.as_json(undisturbed=CALM)["like_undisturbed"] is True
    assert later.as_json()["like_undisturbed"] is None


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(end(over("east", 9), over("west", 8)), id="one is behind"),
        pytest.param(end(Ending("east", 9, roots=2), Ending("west", 9, roots=2)), id="two roots"),
        pytest.param(end(over("east", 9, key="2"), over("west", 9, key="2")), id="another key"),
        pytest.param(end(Ending("east", 0), Ending("west", 0)), id="no statement"),
    ],
)
def test_an_end_that_is_another_one_is_said_to_be_so(other: End) -> None:
    assert "NOT THE SAME AS after" in other.as_text(undisturbed=CALM)


def test_an_ending_is_what_the_statement_says() -> None:
    made = FakeClusterset()
    rotation = Rotation(phase="Publish", root=made.root_key, since="2026-01-01T00:00:00Z")
    text = made.statement(4, roster=made.roster("east"), rotation=rotation)
    said = ending("east", accepted_statement(text, held=Held(), domain=made.domain, roots=made.roots))
    assert said == Ending("east", 4, roots=1, phase="Publish", members=(("east", made.key("east")),))
    assert not End((said,)).is_settled
    assert said.as_text() == "east: generation 4, roots 1, rotation Publish"
    assert ending("east", None).as_text() == "east: no statement"

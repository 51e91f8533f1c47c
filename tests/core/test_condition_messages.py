"""A condition's message is one that a person reads, whatever others had to say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.conditions import LONGEST_MESSAGE, shortened

RULES = ", ".join(f'{{APIGroups:["g{number}"], Resources:["*"]}}' for number in range(400))
STEP = "give placement-work the right, or name another account"


@pytest.mark.parametrize("said", [RULES, RULES.replace(", ", "; "), "x" * 5000])
def test_the_beginning_and_the_next_step_are_kept(said: str) -> None:
    found = shortened(f"Role a/b: is attempting to grant rights not held: {said}; {STEP}")
    assert len(found) == LONGEST_MESSAGE
    assert found.startswith("Role a/b: is attempting to grant rights not held: ")
    assert found.endswith(STEP)


@given(st.text(max_size=3000))
def test_no_message_is_longer_than_that_and_a_short_one_is_not_touched(message: str) -> None:
    found = shortened(message)
    assert len(found) <= LONGEST_MESSAGE
    assert found == message or len(message) > LONGEST_MESSAGE
    assert shortened(found) == found

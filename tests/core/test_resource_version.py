"""Which version came first, also where somebody writes what is no version."""

import pytest

from mesh_core.resource_version import is_earlier


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("9", "10", True),
        ("10", "9", False),
        ("10", "10", False),
        ("", "1", False),
        ("1", "", False),
        ("1", "x", False),
        ("1", "²", False),
        ("²", "3", False),
        ("1", "9" * 5000, False),
        ("9" * 5000, "1", False),
    ],
)
def test_only_numbers_are_compared(one: str, other: str, expected: bool) -> None:
    assert is_earlier(one, other) is expected

"""How much is tried for one choice or one division: a placement may allow more ways than can be looked at.

Steps are counted and not seconds, so the same snapshot gives the same plan on every machine.
"""

from typing import Final

MOST_STEPS: Final = 1_000_000
"""Some tenths of a second."""


class Tries:
    """What is left to be tried; `has_given_up`: a search ended without having tried all."""

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self.left = steps
        self.has_given_up = False

    def spend(self, steps: int) -> None:
        """So many are done."""
        self.left -= steps

    @property
    def is_spent(self) -> bool:
        """Whether the best that was met has to do."""
        return self.left <= 0

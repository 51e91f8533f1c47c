"""Log lines that others can cause as often as they like: each one once a minute, and few for one key."""

from typing import Final

EVERY: Final = 60.0
MOST_OF_ONE_KEY: Final = 16
"""Different lines in a minute: the words may hold what a stranger chose."""


class RareLines:
    """What was logged in the last minute, by the key (KeyId) of who caused it; "" for who has proved none."""

    def __init__(self) -> None:
        self._said: dict[str, dict[tuple[str, str], float]] = {}

    def is_due(self, peer: str, why: str, *, key: str, now: float) -> bool:
        """Whether to log that `why` of `peer` at `now` (seconds); if so, it counts as logged."""
        self._said = {one: fresh for one, said in self._said.items() if (fresh := _fresh(said, now=now))}
        said = self._said.setdefault(key, {})
        if (peer, why) in said or len(said) >= MOST_OF_ONE_KEY:
            return False
        said[peer, why] = now
        return True


def _fresh(said: dict[tuple[str, str], float], *, now: float) -> dict[tuple[str, str], float]:
    return {line: at for line, at in said.items() if now - at < EVERY}

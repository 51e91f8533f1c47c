"""What the program is told, by its environment: what does not read keeps it from starting, with one line.

| variable | what | default |
|---|---|---|
| `MESHCTL_DNS_TTL` | seconds that an answer or a denial may be kept, 0 to 3600 | 5 |
| `MESHCTL_DNS_SNAPSHOT` | folder for the last names, for a start without the API server | none is kept |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mesh_core.errors import UserError
from mesh_dns.wire import LONGEST_TTL, TTL

_PREFIX = "MESHCTL_DNS_"


class UnreadableSetting(UserError):
    """A variable is set to what it cannot be."""

    def __init__(self, name: str, *, text: str, wanted: str) -> None:
        super().__init__(
            f"{name} is {text!r}, which is not {wanted}", next_step="set it to that, or leave it out"
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """`ttl` in seconds; `snapshot` is a folder, None: none is kept."""

    ttl: int = TTL
    snapshot: Path | None = None


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`; a variable that is empty counts as not set. Raises UnreadableSetting."""
    folder = environment.get(_PREFIX + "SNAPSHOT", "")
    return Settings(ttl=_ttl(environment), snapshot=Path(folder) if folder else None)


def _ttl(environment: Mapping[str, str]) -> int:
    name = _PREFIX + "TTL"
    text = environment.get(name, "")
    if not text:
        return TTL
    # `int` would take more than a person means by a number: " 5", "+5", "1_000".
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= LONGEST_TTL):
        raise UnreadableSetting(name, text=text, wanted=f"a number of seconds from 0 to {LONGEST_TTL}")
    return int(text)

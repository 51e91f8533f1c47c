"""Colours of what people read: five tones, and the rule when they are shown. Pure.

1. Renderers paint always; `mesh_cli.output.show` takes the colours out where nobody wants them. So a renderer
   needs to know nothing of terminals, and its tests compare `plain` text.
2. Colour says nothing that the words do not say.
3. Much of what is shown was written by other clusters or by tenants. `legible` lets nothing of that steer a
   terminal: control characters and those that turn the direction of text are shown as their codes.
"""

import re
from collections.abc import Mapping
from enum import Enum


class Tone(Enum):
    """What a colour says; the value is its SGR sequence (ECMA-48 8.3.117)."""

    OK = "\x1b[32m"
    WARN = "\x1b[33m"
    FAIL = "\x1b[31m"
    DIM = "\x1b[2m"
    STRONG = "\x1b[1m"


_END = "\x1b[0m"
_PAINT = re.compile("|".join(re.escape(code) for code in (*(tone.value for tone in Tone), _END)))
_STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def ok(text: str) -> str:
    """As it should be."""
    return _painted(text, Tone.OK)


def warn(text: str) -> str:
    """It works; somebody should look."""
    return _painted(text, Tone.WARN)


def fail(text: str) -> str:
    """It does not work, or is not known to."""
    return _painted(text, Tone.FAIL)


def dim(text: str) -> str:
    """Beside the point."""
    return _painted(text, Tone.DIM)


def strong(text: str) -> str:
    """What the eye should find first."""
    return _painted(text, Tone.STRONG)


def plain(text: str) -> str:
    """Without our colours."""
    return _PAINT.sub("", text)


def legible(text: str) -> str:
    """With our colours and line ends, and nothing else that a terminal would obey."""
    parts = _PAINT.split(text)
    codes = [*_PAINT.findall(text), ""]
    return "".join(_STEERING.sub(_shown, part) + code for part, code in zip(parts, codes, strict=True))


def escaped(json: str) -> str:
    """The same JSON, without signs that a terminal obeys: JSON demands escapes below 0x20 alone."""
    # Below it only white space between values is left.
    return _STEERING.sub(lambda match: match[0] if match[0] < " " else f"\\u{ord(match[0]):04x}", json)


def is_wanted(environment: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Whether colours are shown: NO_COLOR forbids them, FORCE_COLOR asks for them, else a terminal decides.

    A variable that is set to nothing says nothing (no-color.org, force-color.org).
    """
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return is_terminal and environment.get("TERM") != "dumb"


def _painted(text: str, tone: Tone) -> str:
    return f"{tone.value}{text}{_END}" if text else text


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

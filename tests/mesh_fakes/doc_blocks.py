"""What the documentation tells people to type or to apply: its code blocks, with page and line.

A block is fenced, or indented by four spaces behind an empty line. A comment above it says more:
`<!-- run: NAME -->`, a live test runs it as it stands; `<!-- not ours: WHY -->`, other programs' objects.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = (("meshctl",), ("kubectl", "mesh"))

_FENCE = re.compile(r"^\s*```(\w*)")
_MARK = re.compile(r"^<!-- (run|not ours): (.+) -->$")
_PARTS = re.compile(r"\s(?:&&|\|\||\||;|>)\s|\s#\s")
_SPAN = re.compile(r"`((?:meshctl|kubectl mesh) [^`]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """`language` stands behind the fence, `text` for an indented block; `mark` is `run` or `not ours`."""

    page: str
    line: int
    language: str
    text: str
    mark: str = ""
    said: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """Words that follow the program's name; `whole` where it is a line to type and not a mention."""

    place: str
    words: tuple[str, ...]
    whole: bool


def pages() -> list[Path]:
    """The pages for readers; decision records tell of their day and are left out."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text: str, *, page: str) -> list[Block]:
    """The blocks of a page."""
    lines = text.splitlines()
    found, at = [], 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence:
            end = next(n for n in range(at + 1, len(lines)) if lines[n].strip() == "```")
            language, first = fence[1], at + 1
        elif lines[at].startswith("    ") and not (at and lines[at - 1].strip()):
            end = next((n for n in range(at, len(lines)) if not lines[n].startswith("    ")), len(lines))
            language, first = "text", at
        else:
            at += 1
            continue
        above = next((line for line in reversed(lines[:at]) if line.strip()), "")
        mark = _MARK.match(above)
        body = "\n".join(
            line.removeprefix("    ") if language == "text" else line for line in lines[first:end]
        )
        found.append(Block(page, first + 1, language, body, *((mark[1], mark[2]) if mark else ())))
        at = end + 1
    return found


def all_blocks() -> Iterator[Block]:
    for file in pages():
        yield from blocks(file.read_text(), page=str(file.relative_to(ROOT)))


def commands(block: Block) -> Iterator[Command]:
    """The lines of a block that start our program, `\\` at an end joined with the next line."""
    if block.language not in ("", "text", "console", "bash", "sh", "shell"):
        return
    text = re.sub(r"\\\n\s*", " ", block.text)
    for line in text.splitlines():
        for part in _PARTS.split(line):
            words = _words(part.removeprefix("$ "))
            if words:
                yield Command(block.place, words, whole=True)


def mentions(text: str, *, page: str) -> Iterator[Command]:
    """`meshctl ...` within a sentence: verb and options exist, though not all that it needs is there."""
    for number, line in enumerate(text.splitlines(), start=1):
        for span in _SPAN.finditer(line):
            words = _words(_PARTS.split(span[1])[0])
            if words:
                yield Command(f"{page}:{number}", words, whole=False)


def _words(line: str) -> tuple[str, ...]:
    """Without the program, what is shown as optional taken, and `...` left out; empty if it is not ours."""
    try:
        words = shlex.split(line.replace("[", " ").replace("]", " "), comments=True)
    except ValueError:
        return ()
    for program in PROGRAMS:
        if tuple(words[: len(program)]) == program:
            return tuple(word for word in words[len(program) :] if word != "...")
    return ()

"""What `meshctl status` shows on a terminal as SVG, out of a survey that is recorded beside the picture.

    PYTHONPATH=tests python -m browser.status_picture    draws docs/images/status.svg again: the same bytes

The picture names no font of the web: whoever looks at it loads nothing.
"""

import io
import re
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from mesh_cli.status.render import survey_as_text
from mesh_cli.status.survey import MemberSeen, Survey

IMAGES = Path(__file__).parents[2] / "docs" / "images"
RECORD = "status.json"
PICTURE = "status.svg"
_WEB_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


class Recorded(msgspec.Struct, frozen=True):
    """A survey in which every cluster answered."""

    at: str
    clusters: tuple[MemberSeen, ...]


def record(survey: Survey, images: Path) -> None:
    """Keep what was seen, and draw it."""
    kept = msgspec.json.format(msgspec.json.encode(survey), indent=1) + b"\n"
    (images / RECORD).write_bytes(kept)
    draw(images)


def draw(images: Path) -> None:
    """The picture of the record in the same folder."""
    (images / PICTURE).write_text(picture((images / RECORD).read_bytes()))


def picture(record: bytes) -> str:
    """The SVG of a recorded survey; the same bytes for the same record."""
    found = msgspec.json.decode(record, type=Recorded)
    text = Text.from_ansi(survey_as_text(Survey(at=found.at, clusters=found.clusters)))
    width = max(len(line) for line in text.plain.splitlines()) + 2
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="standard"
    )
    console.print(text, soft_wrap=True)
    asked = " ".join(f"--context {one.context}" for one in found.clusters)
    drawn = console.export_svg(title=f"meshctl status {asked}", unique_id="status")
    return _WEB_FONTS.sub("", drawn).replace("Fira Code", "monospace")


if __name__ == "__main__":
    draw(IMAGES)

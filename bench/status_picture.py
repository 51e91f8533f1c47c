"""Draws docs/images/status.svg: what `meshctl status` shows, out of a survey that is recorded beside it.

    python bench/status_picture.py                              draw it again; the same survey, the same bytes
    python bench/status_picture.py --record --context east --context west     look at clusters first

The picture names no font of the web: whoever looks at it loads nothing.
"""

import asyncio
import io
import re
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.text import Text

from mesh_cli.status.render import survey_as_text
from mesh_cli.status.survey import MemberSeen, Survey
from mesh_cli.status.surveying import survey
from mesh_runtime.clock import utc_now

IMAGES = Path(__file__).parents[1] / "docs" / "images"
RECORD = IMAGES / "status.json"
_WEB_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


class Recorded(msgspec.Struct, frozen=True):
    """A survey in which every cluster answered."""

    at: str
    clusters: tuple[MemberSeen, ...]


@click.command()
@click.option("--record", is_flag=True, help="Look at the contexts first, and keep what is found.")
@click.option("--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="For --record.")
@click.option("--context", "contexts", multiple=True, help="For --record; may be given several times.")
def main(record: bool, kubeconfig: Path | None, contexts: tuple[str, ...]) -> None:
    """Draw the picture."""
    if record:
        found = asyncio.run(survey(contexts, kubeconfig=kubeconfig, clock=utc_now))
        RECORD.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    (IMAGES / "status.svg").write_text(picture(RECORD.read_bytes()))


def picture(record: bytes) -> str:
    """The SVG of a recorded survey; the same bytes for the same record."""
    found = msgspec.json.decode(record, type=Recorded)
    text = Text.from_ansi(survey_as_text(Survey(at=found.at, clusters=found.clusters)))
    width = max(len(line) for line in text.plain.splitlines()) + 2
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="standard"
    )
    console.print(text, soft_wrap=True)
    drawn = console.export_svg(title="meshctl status --context east --context west", unique_id="status")
    return _WEB_FONTS.sub("", drawn).replace("Fira Code", "monospace")


if __name__ == "__main__":
    main()

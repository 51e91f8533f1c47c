"""`meshctl explain ID`: what an error or a check means and what to do, without asking any cluster."""

import click

from mesh_cli.explain.pages import PAGES, sections, shipped
from mesh_cli.output import Form, as_json, output_option, show
from mesh_cli.paint import strong
from mesh_core.errors import UserError


class UnknownId(UserError):
    """Nothing is known under that id."""

    def __init__(self, id_: str) -> None:
        super().__init__(
            f"nothing is known under {id_}",
            next_step="copy it from an error line, or from meshctl check; newer ids need a newer meshctl",
        )


def explaining(id_: str) -> click.Command:
    """A command that explains `id_`; it raises UnknownId."""

    @click.command(id_, help=f"What {id_} means, and what to do next.")
    @output_option
    def command(output: Form) -> None:
        found = explained(id_)
        show(output, json=lambda: as_json(found), table=lambda: f"{strong(id_)}\n\n{found['text']}\n")

    return command


def explained(id_: str) -> dict[str, str]:
    """What the pages say of it; raises UnknownId."""
    for page in PAGES:
        found = sections(shipped(page)).get(id_)
        if found is not None:
            return {"id": id_, "page": f"docs/{page}", "text": plain_text(found)}
    raise UnknownId(id_)


def plain_text(markdown: str) -> str:
    """Without the signs that only make a page look better."""
    return markdown.replace("**", "").replace("*Next:*", "Next:")

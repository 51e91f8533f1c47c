"""Makes the pictures of docs/images anew, from two real clusters: `make screenshots`.

    PYTHONPATH=tests python -m browser.screenshots                                  clusters of its own
    PYTHONPATH=tests python -m browser.screenshots --kubeconfig FILE --context A    clusters that are there

Each picture is what a command shows: `meshctl status`, `meshctl graph`, `meshctl dashboard`.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from browser.conftest import running
from browser.shown_pair import Shown, shown_pair
from browser.status_picture import IMAGES, record
from mesh_cli.status.surveying import survey
from mesh_fakes.browser import Tab, browser
from mesh_runtime.clock import utc_now

_LIVE = "document.getElementById('state')?.textContent.startsWith('live')"
_NEXT = "document.getElementById('title')?.dataset.old === undefined"
_HEIGHT = "document.documentElement.scrollHeight"
_WIDTHS = {"dashboard.png": 900, "dashboard-phone.png": 390}


@click.command()
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--context", "contexts", multiple=True, help="With --kubeconfig; may be given several times.")
def main(kubeconfig: Path | None, contexts: Sequence[str]) -> None:
    """Make the pictures."""
    if (kubeconfig is None) != (not contexts):
        raise click.UsageError("--kubeconfig and --context go together")
    asyncio.run(_make(Shown(kubeconfig, contexts) if kubeconfig is not None else None))


async def _make(given: Shown | None) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if given is not None:
            await pictures(given, folder=folder, images=IMAGES)
        else:
            async with shown_pair(folder) as shown:
                await pictures(shown, folder=folder, images=IMAGES)


async def pictures(shown: Shown, *, folder: Path, images: Path) -> None:
    """All of them, into `images`."""
    record(await survey(shown.contexts, kubeconfig=shown.kubeconfig, clock=utc_now), images)
    await shown.meshctl("graph", *shown.words, "--out", str(images / "graph.svg"))
    async with running(shown.kubeconfig, contexts=shown.contexts) as dashboard, browser(folder) as tab:
        await tab.size(900, 720)
        await tab.open(dashboard.address)
        await tab.until(_LIVE, limit=60.0)
        # The second look is the first that knows how fast bytes flow.
        await tab.value("document.getElementById('title').dataset.old = '1'")
        await tab.until(_NEXT, limit=60.0)
        await tab.value("document.querySelector('li.troubled summary')?.click()")
        for name, width in _WIDTHS.items():
            await _shot(tab, images / name, width=width)


async def _shot(tab: Tab, file: Path, *, width: int) -> None:
    """The whole page, at that width."""
    await tab.size(width, 500)
    await tab.size(width, await tab.value(_HEIGHT))
    await tab.shot(file)


if __name__ == "__main__":
    main()

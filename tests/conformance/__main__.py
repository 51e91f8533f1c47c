"""`make conformance`: the official suite, in each mode, and a table of what it said.

Exit status: 0 when all passed that can, 1 when something did not or could not be tried, 2 for wrong
usage.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import click

from conformance.clusters import CLUSTERS, Place, clusterset
from conformance.mode import Mode
from conformance.report import NoReport, Outcome, markdown, read, text
from conformance.suite import WHERE, Following, NoSuite, Suite, arguments, find
from mesh_core.errors import MeshError
from mesh_local.child import run_logged
from mesh_local.errors import CommandFault
from mesh_runtime.progress import Progress, progress_for

LIMIT = 40 * 60.0  # seconds for one run; a good one takes about ten minutes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to run, and where to put what comes of it."""

    suite: Suite
    out: Path
    modes: Sequence[Mode]
    focus: str
    url: str


@click.command()
@click.argument("checkout", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), default=Path(".local/conformance"), show_default=True)
@click.option("--mode", "modes", multiple=True, type=click.Choice([mode.value for mode in Mode]))
@click.option(
    "--focus", default="", metavar="REGEX", help="Only specs whose text matches; the rest is skipped."
)
@click.option("--url", default="", help="For the report: where the project is to be found.")
def command(checkout: Path | None, out: Path, modes: Sequence[str], focus: str, url: str) -> None:
    """Run the suite of CHECKOUT, compiled, on two local clusters, in each mode or in all."""
    try:
        if checkout is None:
            raise NoSuite("the suite is not part of this repository", next_step=f"clone {WHERE} and name it")
        suite = find(checkout)
    except NoSuite as error:
        _say_error(str(error))
        sys.exit(2)
    chosen = [Mode(mode) for mode in modes] or list(Mode)
    wanted = Wanted(suite, out=out.resolve(), modes=chosen, focus=focus, url=url)
    sys.exit(0 if asyncio.run(_run(wanted)) else 1)


async def _run(wanted: Wanted) -> bool:
    """Whether every mode was good; a mode that cannot be tried takes nothing from the others' results."""
    progress = progress_for(sys.stderr)
    outcomes = []
    for mode in wanted.modes:
        try:
            outcomes.append(await _outcome(wanted, mode, progress=progress))
        except MeshError as error:
            _say_error(f"mode {mode.value}: {error}")
    if outcomes:
        _show(outcomes, wanted=wanted)
    return len(outcomes) == len(wanted.modes) and all(outcome.is_good for outcome in outcomes)


def _show(outcomes: Sequence[Outcome], *, wanted: Wanted) -> None:
    page = wanted.out / "table.md"
    ours, suite = _commit(Path(__file__).parent), _commit(wanted.suite.checkout)
    page.write_text(markdown(outcomes, ours=ours, suite=suite))
    click.echo(text(outcomes), nl=False)
    places = ", ".join(str(wanted.out / outcome.mode.value / "report.html") for outcome in outcomes)
    click.echo(f"reports: {places}; as a page: {page}")


def _say_error(what: str) -> None:
    click.echo(f"error: {' '.join(what.split())}", err=True)


async def _outcome(wanted: Wanted, mode: Mode, *, progress: Progress) -> Outcome:
    folder = wanted.out / mode.value
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.yaml"
    # So that an older run's report is never taken for this one's.
    report.unlink(missing_ok=True)
    log = folder / "log"
    log.write_text("")
    place = Place(folder=wanted.out / f"clusters-{mode.value}", log=log, mode=mode)
    async with clusterset(place, progress=progress) as kubeconfig:
        asked = arguments(
            CLUSTERS,
            kubeconfig=kubeconfig,
            version=version("clusterset-mesh"),
            url=wanted.url,
            focus=wanted.focus,
        )
        await _suite([str(wanted.suite.binary), *asked], folder=folder, log=log, mode=mode, progress=progress)
    if not report.is_file():
        raise NoReport(f"the suite ended in mode {mode.value} without a report", next_step=f"read {log}")
    return Outcome(mode, read(report.read_text()))


async def _suite(argv: Sequence[str], *, folder: Path, log: Path, mode: Mode, progress: Progress) -> None:
    """Runs the suite to its end; whether it was good is for its report to say."""
    with progress.step(f"Running the suite in mode {mode.value}") as step:
        try:
            async with asyncio.timeout(LIMIT):
                await run_logged(
                    argv,
                    folder=folder,
                    environment=dict(os.environ),
                    log=log,
                    on_line=Following(step.update).line,
                )
        except TimeoutError as error:
            what = f"the suite took more than {LIMIT / 60:.0f} minutes in mode {mode.value}"
            raise CommandFault(what, next_step=f"read {log}") from error


def _commit(folder: Path) -> str:
    """What git calls the state of the checkout around `folder`."""
    try:
        said = subprocess.run(
            ["git", "-C", str(folder), "describe", "--tags", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "of an unknown commit"
    return said.stdout.strip()


if __name__ == "__main__":
    command()

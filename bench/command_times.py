"""How long the command takes until it is done: its help, and `status` of the contexts that are named.

    python bench/command_times.py [--runs N] [--kubeconfig FILE --context NAME ...] [--json FILE]

Each run is a process of its own, as a person starts it. CPU time stands beside the time by the clock: on a
machine that others use, only the CPU time says something of the command.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click


@dataclass(frozen=True, slots=True)
class Times:
    """Of one command line: the median and the range by the clock, the median of CPU time; in milliseconds."""

    words: str
    runs: int
    median: float
    least: float
    most: float
    cpu: float
    load: float


@click.command()
@click.option("--runs", default=20, show_default=True, help="Processes for each command line.")
@click.option("--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="For status.")
@click.option("--context", "contexts", multiple=True, help="For status; may be given several times.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
def main(runs: int, kubeconfig: Path | None, contexts: tuple[str, ...], target: Path | None) -> None:
    """Time the command."""
    lines = [("--help",), ("status", "--help"), ("trust", "--help")]
    if contexts:
        files = ("--kubeconfig", str(kubeconfig)) if kubeconfig is not None else ()
        lines.append((*files, "status", *(word for one in contexts for word in ("--context", one))))
    found = [measure(words, runs=runs) for words in lines]
    for one in found:
        click.echo(
            f"{one.median:7.0f} ms ({one.least:.0f} to {one.most:.0f}), cpu {one.cpu:.0f} ms, "
            f"load {one.load:.1f}: meshctl {one.words}"
        )
    if target is not None:
        target.write_text(json.dumps([asdict(one) for one in found], indent=2) + "\n")


def measure(words: Sequence[str], *, runs: int) -> Times:
    """Run it; the first one, which may have to compile, does not count."""
    clock, cpu = [], []
    for _ in range(runs + 1):
        before, began = _children(), time.perf_counter()
        subprocess.run([sys.executable, "-m", "mesh_cli", *words], check=True, capture_output=True)
        clock.append(1000 * (time.perf_counter() - began))
        cpu.append(1000 * (_children() - before))
    del clock[0], cpu[0]
    return Times(
        words=" ".join(words),
        runs=runs,
        median=statistics.median(clock),
        least=min(clock),
        most=max(clock),
        cpu=statistics.median(cpu),
        load=os.getloadavg()[0],
    )


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()

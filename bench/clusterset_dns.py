"""How fast clusterset DNS answers beside CoreDNS with its plugin `multicluster`, and what it costs.

    python bench/clusterset_dns.py [--peer coredns] [--work NAME] [--runs N] [--quick] [--json FILE]

Works and rules: README.md beside this file.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mesh_bench.bed import Bed, bed
from mesh_bench.dns_scene import imported_slice, questions, service_import
from mesh_bench.dns_servers import COREDNS, COREDNS_CACHE, OURS, PLAIN, Ground
from mesh_bench.dns_works import WORKS, Order, measured
from mesh_bench.faults import BenchFault
from mesh_bench.figures import Report, Row
from mesh_bench.machine import commit, machine
from mesh_bench.scene import keys
from mesh_bench.stock import Stock
from mesh_core.errors import MeshError, causes
from mesh_local.binaries import coredns_binary
from mesh_local.machine import Need, missing
from mesh_local.native import DNS, native
from mesh_runtime.clock import utc_now
from mesh_runtime.progress import progress_for

NAME = "dns"
NAMES = 2000
_DNSPERF = Need("dnsperf", ("dnsperf",))


@click.command()
@click.option("--peer", default="coredns", type=click.Choice(["coredns", "none"]), show_default=True)
@click.option("--plain", is_flag=True, help="Ours from the sources too, beside ours compiled.")
@click.option("--work", "works", multiple=True, type=click.Choice(WORKS), help="Only this; may be repeated.")
@click.option("--runs", type=click.IntRange(min=1), help="Repetitions; 3, and 1 with --quick.")
@click.option("--quick", is_flag=True, help="Short measurements that only show that everything works.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
def main(
    peer: str, plain: bool, works: Sequence[str], runs: int | None, quick: bool, target: Path | None
) -> None:
    """Measure, print, and write JSON. A slow result is a result; only what breaks fails."""
    peers = (COREDNS, COREDNS_CACHE) if peer == "coredns" else ()
    order = Order(
        works=tuple(works or WORKS),
        systems=(OURS, *((PLAIN,) if plain else ()), *peers),
        runs=runs or (1 if quick else 3),
        seconds=1.5 if quick else 4.0,
    )
    started = utc_now().isoformat(timespec="seconds")
    rows: list[Row] = []
    broken: list[MeshError] = []
    try:
        asyncio.run(measure(order, rows=rows))
    except* MeshError as group:
        broken = causes(group)
    report = Report("dns", commit(), machine(), started, rows)
    click.echo(report.as_text())
    if target is not None:
        target.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    if broken:
        raise click.ClickException("\n".join(map(str, broken)))


async def measure(order: Order, *, rows: list[Row]) -> None:
    """All works asked for; `rows` has what there is, also when something breaks half way."""
    if lacking := missing([_DNSPERF], environment=os.environ):
        raise BenchFault(
            f"these Debian packages are missing: {' '.join(lacking)}",
            next_step=f"run .ci/apt {' '.join(lacking)}",
        )

    def said(row: Row) -> Row:
        click.echo(row.as_text(), err=True)
        rows.append(row)
        return row

    progress = progress_for(sys.stderr)
    coredns = await coredns_binary(progress=progress)
    compiled = await native(DNS, progress=progress)
    async with bed(NAME) as made:
        ground = await _ground(made, coredns=coredns, compiled=str(compiled or ""))
        await measured(order, ground=ground, names=_NAMES, said=said)


async def _ground(made: Bed, *, coredns: Path, compiled: str) -> Ground:
    """The objects, and the file of questions about them."""
    cluster = made.clusters[NAME]
    stock = Stock(cluster.kube)
    await stock.open_namespaces(_NAMES)
    await stock.add_imports(
        [service_import(key, number) for number, key in enumerate(_NAMES)],
        [imported_slice(key, number) for number, key in enumerate(_NAMES)],
    )
    if stock.errors:
        raise BenchFault(
            f"the API server refused {stock.errors} objects",
            next_step="see its log under the cluster's folder",
        )
    file = made.folder / "questions"
    file.write_text(questions(_NAMES))
    return Ground(cluster, made.folder, coredns, compiled, file)


_NAMES = keys(NAMES, prefix=NAME)

if __name__ == "__main__":
    main()

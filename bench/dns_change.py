"""From a change of an endpoint to the new answer of DNS at a pod, on two real clusters.

    python bench/dns_change.py [--work local|remote] [--kind readiness|replaced] [--quick] [--json FILE]

A pod's network in west asks west's cluster DNS, which has the stub that `meshctl join` writes, for a headless
name every five milliseconds. `local`: west itself exports the Service; `remote`: east does. The clock
starts when its EndpointSlice is written, and stops when the last answer that was not the new one is behind.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from mesh_bench.figures import Report, Row
from mesh_bench.full_pair import NAMESPACE, FullPair, full_pair, inside, prepare, processes
from mesh_bench.machine import commit, cpu_seconds, load, machine
from mesh_bench.name_changes import KINDS, Told, change, watched
from mesh_bench.name_hearing import Heard, asker
from mesh_bench.name_objects import ENDPOINTS, endpoint_slice, export, service
from mesh_bench.name_rows import name_row
from mesh_bench.name_turns import Wanted
from mesh_core.errors import MeshError, causes
from mesh_core.names import CLUSTERSET_ZONE, DNS, SYSTEM_NAMESPACE
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import SERVICES, KubeClient, connect

ASKER = "west"
# Where the Service is exported, by work.
EXPORTERS = {"local": "west", "remote": "east"}
_LIMIT = 60.0
_SEED = 1
_QUICK = 10


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for: `changes` in each run."""

    works: Sequence[str]
    kinds: Sequence[str]
    runs: int
    changes: int


@click.command()
@click.option("--work", "works", multiple=True, type=click.Choice(tuple(EXPORTERS)), help="Only this.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only this.")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(min=1), help="Repetitions.")
@click.option("--changes", default=100, show_default=True, type=click.IntRange(min=1), help="In each run.")
@click.option("--quick", is_flag=True, help="A small run that only shows that everything works.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
def main(
    works: Sequence[str], kinds: Sequence[str], runs: int, changes: int, quick: bool, target: Path | None
) -> None:
    """Measure, print, and write JSON. A slow result is a result; only what breaks fails."""
    order = Order(works or tuple(EXPORTERS), kinds or KINDS, runs, _QUICK if quick else changes)
    started = utc_now().isoformat(timespec="seconds")
    rows: list[Row] = []
    broken: list[MeshError] = []
    try:
        with full_pair(nodes=1) as pair:
            prepare(pair, linked=False)
            asyncio.run(_measure(pair, order=order, rows=rows))
    except* MeshError as group:
        broken = causes(group)
    finally:
        report = Report("dns_change", commit(), machine(), started, rows)
        click.echo(report.as_text())
        if target is not None:
            target.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    if broken:
        raise click.ClickException("\n".join(map(str, broken)))


async def _measure(pair: FullPair, *, order: Order, rows: list[Row]) -> None:
    async with AsyncExitStack() as stack:
        config = pair.set / "kubeconfig"
        clients = {
            name: await stack.enter_async_context(connect(kubeconfig=config, context=name))
            for name in ("east", "west")
        }
        servers = {
            "coredns": await _address(clients[ASKER], "kube-dns", namespace="kube-system"),
            "mesh_dns": await _address(clients[ASKER], DNS, namespace=SYSTEM_NAMESPACE),
        }
        for work in order.works:
            await _export(clients[EXPORTERS[work]], work)
            for kind in order.kinds:
                rows.append(await _work(pair, clients, work=work, kind=kind, order=order, servers=servers))
                click.echo(rows[-1].as_text(), err=True)


async def _work(
    pair: FullPair,
    clients: dict[str, KubeClient],
    *,
    work: str,
    kind: str,
    order: Order,
    servers: dict[str, str],
) -> Row:
    dice = random.Random(_SEED)
    runs: list[Told] = []
    spent: list[dict[str, float]] = []
    async with (
        _asked(pair, work, servers=servers) as heard,
        watched(work, exporter=clients[EXPORTERS[work]], importer=clients[ASKER]) as eyes,
    ):
        for _ in range(order.runs):
            before = _cpu(pair)
            runs.append(await change(eyes, heard, kind=kind, count=order.changes, dice=dice))
            after = _cpu(pair)
            spent.append({name: (after[name] - before[name]) / order.changes for name in after})
    return name_row(
        [run.stations for run in runs],
        work=work,
        kind=kind,
        errors=sum(run.errors for run in runs),
        lost={one.server: one.lost for one in heard.tallies},
        cpu=spent,
        load=load(),
    )


def _cpu(pair: FullPair) -> dict[str, float]:
    """CPU seconds so far by "<cluster> <program>", of all its pods: what a busy machine does not change."""
    return {
        f"{cluster} {program}": sum(
            cpu_seconds(pid)
            for pod in pair.pods(cluster, SYSTEM_NAMESPACE, f"app.kubernetes.io/component={program}")
            for pid in processes(pod)
        )
        for cluster in EXPORTERS.values()
        for program in ("controller", "gateway")
    }


@asynccontextmanager
async def _asked(pair: FullPair, name: str, *, servers: dict[str, str]) -> AsyncIterator[Heard]:
    """An asker whose servers both know the name."""
    enter = inside(pair, ASKER)
    full = f"{name}.{NAMESPACE}.svc.{CLUSTERSET_ZONE}."
    async with asker(enter, name=full, servers=servers) as heard:
        async with asyncio.timeout(_LIMIT):
            for server in servers:
                await heard.until(server, wanted=Wanted((), ENDPOINTS))
        yield heard


async def _export(client: KubeClient, name: str) -> None:
    for body in (service(name), endpoint_slice(name), export(name)):
        placed = {**body, "metadata": {**body["metadata"], "namespace": NAMESPACE}}
        await client.apply_manifest(placed, field_manager="bench")


async def _address(client: KubeClient, name: str, *, namespace: str) -> str:
    return (await client.get(SERVICES, name, namespace=namespace)).spec.cluster_ip


if __name__ == "__main__":
    main()

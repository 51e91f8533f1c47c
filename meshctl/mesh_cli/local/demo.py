"""`meshctl demo`: two clusters on this machine and a first call across them.

It runs the same commands that a person would type and shows each before its output; nothing in it is
done by other means. Running it again goes on from what is there. It leaves the clusters running.
"""

import asyncio
import collections
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mesh_cli.install.shipped import sample_folder
from mesh_cli.local.demo_clusters import Clusters
from mesh_cli.session import run
from mesh_cli.trace.packet_way import lines
from mesh_core.errors import EnvironmentFault

NAME = "hello.demo.svc.clusterset.local"
CALLS = 10


class DemoStopped(EnvironmentFault):
    """A command of the demo failed; its own error stands above."""

    def __init__(self, command: str) -> None:
        super().__init__(
            f"the demo stopped at: {command}",
            next_step="mend what the line above says and run the demo again; it goes on from there",
        )


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".local/demo"),
    show_default=True,
    help="Where the clusters and the root of trust live.",
)
def command(folder: Path) -> None:
    """Two clusters on this machine, one exported Service, one call across them."""
    run(_demo(Clusters(folder)))


async def _demo(clusters: Clusters) -> None:
    kubeconfig = await _start(clusters)
    await _join(clusters, kubeconfig)
    await _export(clusters)
    await _look(clusters)
    await _call(clusters)
    _next(clusters)


async def _start(clusters: Clusters) -> Path:
    _title("Two clusters, east and west, with the same pod and Service addresses in both")
    await _meshctl("local", "up", "--clusters", "east,west", "--dir", str(clusters.folder))
    for kind in ("program", "client"):
        image = await clusters.image(kind)
        await _meshctl("local", "load", str(image.tar), "--dir", str(clusters.folder))
    return clusters.kubeconfig


async def _join(clusters: Clusters, kubeconfig: Path) -> None:
    _title("One root of trust; each cluster makes its own keys and gets an intermediate from it")
    trust = clusters.folder / "trust"
    if not (trust / "root.key").exists():
        await _meshctl("trust", "init", "--dir", str(trust))
    program = await clusters.image("program")
    for cluster in ("east", "west"):
        await _meshctl(
            *("--kubeconfig", str(kubeconfig), "join", "--context", cluster, "--cluster-id", cluster),
            *("--trust", str(trust), "--image", program.name, "--service-type", "nodeport"),
        )
    await _meshctl("--kubeconfig", str(kubeconfig), "link", "east", "west")


async def _export(clusters: Clusters) -> None:
    _title("A Service in east, exported; a client in west")
    hello, client = sample_folder("hello"), sample_folder("client")
    for cluster in ("east", "west"):
        # The same namespace in both, and what each cluster calls itself, for the answers.
        await _kubectl(clusters, cluster, "apply", "-k", str(sample_folder("namespace")))
        await _kubectl(clusters, cluster, "apply", "-f", str(clusters.self_description(cluster)))
    await _kubectl(clusters, "east", "apply", "-k", str(hello))
    await _kubectl(clusters, "east", "apply", "-f", str(hello / "export.yaml"))
    await _kubectl(clusters, "west", "apply", "-k", str(client))
    for cluster, name in (("east", "hello"), ("west", "client")):
        await _kubectl(
            clusters, cluster, "-n", "demo", "rollout", "status", f"deploy/{name}", "--timeout=90s"
        )


async def _look(clusters: Clusters) -> None:
    _title("What west made of it")
    await clusters.until_imported("hello", namespace="demo", within="west")
    await _kubectl(clusters, "west", "-n", "demo", "get", "serviceimports")
    await _in_client(clusters, "dig", "+noall", "+answer", NAME)


async def _call(clusters: Clusters) -> None:
    _title(f"{CALLS} calls by name from the pod in west")
    script = f"for i in $(seq {CALLS}); do curl -sS --max-time 5 http://{NAME}; done"
    answers = (await _in_client(clusters, "sh", "-c", script)).decode().splitlines()
    _say("")
    for answer, count in sorted(collections.Counter(answers).items()):
        _say(f"  {count:3d} x  {answer}")
    if len(answers) != CALLS:
        raise DemoStopped(f"{CALLS} calls gave {len(answers)} answers")
    _title("The way a packet went")
    for line in lines(await clusters.way("hello", namespace="demo", importer="west", exporter="east")):
        _say(f"  {line}")


def _next(clusters: Clusters) -> None:
    folder = clusters.folder.resolve()
    _title("The clusters go on running. Try:")
    if shutil.which("meshctl") is None:
        _say(f'  export PATH="{Path(sys.executable).parent}:$PATH"')
    for line in (
        f"export KUBECONFIG={clusters.kubeconfig.resolve()}",
        "meshctl status --context east --context west",
        f"alias kubectl='meshctl local kubectl --dir {folder}'",
        "kubectl --context east -n demo scale deploy/hello --replicas 0      # and look at west's slices",
        "kubectl --context west -n demo get endpointslices -o wide",
        f"kubectl --context west apply -k {sample_folder('hello')}            # hello in west as well ...",
        f"kubectl --context west apply -f {sample_folder('hello') / 'export.yaml'}    # ... exported by both",
        "kubectl --context east -n demo delete serviceexport hello",
        f"meshctl local down --dir {folder}                          # or: make demo-down",
    ):
        _say(f"  {line}")


async def _meshctl(*arguments: str) -> None:
    await _run(["meshctl", *arguments], [sys.executable, "-m", "mesh_cli", *arguments])


async def _kubectl(clusters: Clusters, cluster: str, *arguments: str) -> bytes:
    shown = ["kubectl", "--context", cluster, *arguments]
    program = [*await clusters.kubectl(), "--kubeconfig", str(clusters.kubeconfig)]
    return await _run(shown, [*program, *shown[1:]])


async def _in_client(clusters: Clusters, *arguments: str) -> bytes:
    return await _kubectl(clusters, "west", "-n", "demo", "exec", "deploy/client", "--", *arguments)


async def _run(shown: Sequence[str], program: Sequence[str]) -> bytes:
    """Show the command, run it with its output going to the screen, and give back that output."""
    text = " ".join(f"'{word}'" if " " in word else word for word in shown)
    click.secho(f"$ {text}", dim=True)
    sys.stdout.flush()
    process = await asyncio.create_subprocess_exec(
        *program, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env={**os.environ}
    )
    assert process.stdout is not None
    output = b""
    while line := await process.stdout.readline():
        output += line
        click.echo(line, nl=False)
    if await process.wait() != 0:
        raise DemoStopped(text)
    return output


def _title(text: str) -> None:
    click.secho(f"\n{text}", bold=True)


def _say(text: str) -> None:
    click.echo(text)

"""How long it takes from `meshctl accept` to the first call that is answered, between two real clusters.

    python bench/invitation.py [--runs N] [--from-nothing] [--json FILE]

East is a member and exports a service; west has never been one. In each run west is invited, accepts, and a
pod there calls the service by its clusterset IP until it is answered; then west is forgotten on both sides.
Neither asks the other's API server for anything. The programs of ours are installed in west before the clock
starts, as a platform has them, unless `--from-nothing`.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import click

from mesh_bench.figures import percentile
from mesh_bench.full_pair import NAMESPACE, PORT, FullPair, full_pair, inside, prepare, served, wait_for
from mesh_bench.machine import commit, load, machine
from mesh_bench.programs import ready_programs
from mesh_cli.install.manifests import apply_definitions, apply_objects, manifests_for
from mesh_cli.install.shape import Shape
from mesh_cli.install.shipped import Overlay
from mesh_core.errors import MeshError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import connect
from mesh_runtime.progress import progress_for

_LIMIT = 120.0


@click.command()
@click.option("--runs", default=10, show_default=True, type=click.IntRange(min=1))
@click.option("--from-nothing", is_flag=True, help="West has none of our objects when the clock starts.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
def main(runs: int, from_nothing: bool, target: Path | None) -> None:
    """Measure, print, and write JSON."""
    started = utc_now().isoformat(timespec="seconds")
    times: list[tuple[float, float]] = []
    try:
        program = asyncio.run(ready_programs((), progress=progress_for(sys.stderr))).load
        with full_pair(joined=("east",)) as pair:
            _measure(pair, program=program, runs=runs, from_nothing=from_nothing, times=times)
    except MeshError as error:
        raise click.ClickException(str(error)) from error
    finally:
        if times:
            click.echo(_told("the member is in (accept ends)", [one for one, _ in times]))
            click.echo(_told("first call answered", [one for _, one in times]))
        if target is not None:
            head = {"bench": "invitation", "commit": commit(), "machine": machine(), "started": started}
            rows = [{"accept_s": round(a, 2), "first_call_s": round(b, 2)} for a, b in times]
            body = {**head, "from_nothing": from_nothing, "rows": rows, "load": load()}
            target.write_text(json.dumps(body, indent=1) + "\n")


def _measure(
    pair: FullPair, *, program: str, runs: int, from_nothing: bool, times: list[tuple[float, float]]
) -> None:
    prepare(pair, linked=False)
    with served(pair, program):
        for run in range(runs):
            if not from_nothing:
                asyncio.run(_install(pair))
                wait_for(lambda: _started(pair), what="our programs in west", limit=_LIMIT)
            token = _invited(pair, first=run == 0)
            times.append(_timed(pair, token=token))
            click.echo(f"{times[-1][0]:.2f} s, first call {times[-1][1]:.2f} s, load {load():.1f}", err=True)
            pair.meshctl(*_config(pair), "uninstall", "--context", "west", "--force")
            # Then the id is free for the same cluster, and its next key.
            pair.meshctl(*_config(pair), "peer", "remove", "west", "--context", "east")


async def _install(pair: FullPair) -> None:
    """What `meshctl accept` installs, before it."""
    image = pair.meshctl("local", "image", "program").split()[0]
    manifests = manifests_for(Shape(Overlay.NODE_PORT), image=image)
    async with connect(kubeconfig=pair.set / "kubeconfig", context="west") as client:
        await apply_definitions(client, manifests)
        await apply_objects(client, manifests)


def _started(pair: FullPair) -> bool:
    """Whether the programs run in west; ready they are only as a member."""
    text = pair.kubectl(
        "west", "-n", SYSTEM_NAMESPACE, "get", "pods", "-o", "jsonpath={.items[*].status.phase}"
    )
    return len(text.split()) >= 4 and set(text.split()) == {"Running"}


def _timed(pair: FullPair, *, token: str) -> tuple[float, float]:
    """Seconds until `accept` ended, and until a call was answered; both from its beginning."""
    words = (*_config(pair), "accept", token, "--context", "west", "--cluster-id", "west", *_programs(pair))
    enter = inside(pair, "west")
    began = time.monotonic()
    accepting = subprocess.Popen(
        [sys.executable, "-m", "mesh_cli", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    # A refusal comes within seconds, and no call is answered after it.
    wait_for(lambda: _answers(pair, enter) or bool(accepting.poll()), what="an answer", limit=_LIMIT)
    first = time.monotonic() - began
    _, said = accepting.communicate(timeout=_LIMIT)
    accepted = time.monotonic() - began
    if accepting.returncode:
        raise click.ClickException(said.decode())
    return accepted, first


def _answers(pair: FullPair, enter: tuple[str, ...]) -> bool:
    try:
        address = pair.address()
    except MeshError:
        return False  # there is no such kind yet
    if not address:
        return False
    call = (
        "import socket;s=socket.create_connection(('%s',%d),2);s.settimeout(2);s.send(b'C');"
        "raise SystemExit(len(s.recv(1)) != 1)"
    )
    program = (sys.executable, "-c", call % (address, PORT))
    return subprocess.run([*enter, *program], stderr=subprocess.DEVNULL, check=False).returncode == 0


def _invited(pair: FullPair, *, first: bool) -> str:
    trust = ("--trust", str(pair.folder / "trust")) if first else ()
    said = pair.meshctl(*_config(pair), "invite", "--context", "east", *trust)
    return next(word for word in said.split() if len(word) > 80)


def _config(pair: FullPair) -> tuple[str, str]:
    return "--kubeconfig", str(pair.set / "kubeconfig")


def _programs(pair: FullPair) -> tuple[str, ...]:
    image = pair.meshctl("local", "image", "program").split()[0]
    return "--image", image, "--service-type", "nodeport"


def _told(what: str, times: list[float]) -> str:
    return (
        f"{what}: median {percentile(times, share=0.5):.1f} s, p99 {percentile(times, share=0.99):.1f} s "
        f"({min(times):.1f} to {max(times):.1f}) in {len(times)} runs, {NAMESPACE}"
    )


if __name__ == "__main__":
    main()

"""`meshctl dashboard`: a live page of the clusterset, on this machine and for its person alone."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from mesh_cli.contexts import contexts_option
from mesh_cli.dashboard.board import Board
from mesh_cli.graph.looking import looking
from mesh_cli.session import run
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import current_context
from mesh_runtime.signals import stop_at_signal


@click.command("dashboard")
@contexts_option()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default="any free one", help="Port on 127.0.0.1."
)
@click.option(
    "--every",
    type=click.FloatRange(min=1, max=60),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="How often the clusters are asked, while somebody looks.",
)
@click.pass_obj
def command(kubeconfig: Path | None, contexts: tuple[str, ...], port: int, every: float) -> None:
    """Show the clusterset as a live page on 127.0.0.1, until Ctrl-C.

    Open the address that it prints: the token in it lets you in, and nobody without it. The page reads and
    changes nothing. Keys: j and k move, Enter opens, / filters, ? helps.
    """
    asked = contexts or (current_context(kubeconfig=kubeconfig),)
    run(_serve(asked, kubeconfig=kubeconfig, port=port, every=every))


async def _serve(contexts: Sequence[str], *, kubeconfig: Path | None, port: int, every: float) -> None:
    # A web server takes its time to load: no help waits for it.
    from mesh_cli.dashboard.server import dashboard

    stop = stop_at_signal()
    time = asyncio.get_running_loop().time
    async with looking(contexts, kubeconfig=kubeconfig, clock=utc_now) as look:
        board = Board(look, every=every, time=time)
        async with dashboard(board, port=port) as address:
            click.echo(address)
            await stop.wait()
    click.echo("ended")

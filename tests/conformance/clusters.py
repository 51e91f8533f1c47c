"""Two joined and linked clusters for the suite, made fresh and gone afterwards."""

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from conformance.mode import Mode
from conformance.stand_ins import stand_ins
from mesh_fakes.bed import guarded
from mesh_local.child import run_logged
from mesh_local.dns_probe import dns_answers
from mesh_local.down import down
from mesh_local.errors import CommandFault, ComponentFault
from mesh_local.images import program_image
from mesh_local.layout import files_in
from mesh_local.load import load
from mesh_local.names import names_of
from mesh_local.plan import ClusterPlan, Request
from mesh_local.set_state import state_of_running
from mesh_local.up import up
from mesh_runtime.progress import Progress

CLUSTERS = ("east", "west")

# A name that only mesh-dns knows, and always: when cluster DNS answers it, the stub is in use.
OURS = "ns.dns.clusterset.local"

# The flat network's name; any will do that both clusters share.
NETWORK = "conformance"

COMMAND_LIMIT = 300.0  # seconds
DNS_LIMIT = 120.0  # kubelet may take a minute to bring a changed ConfigMap into a pod
PACE = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run's clusters and its log are, and how the clusters are to be connected."""

    folder: Path
    log: Path
    mode: Mode

    @property
    def kubeconfig(self) -> Path:
        return files_in(self.folder).kubeconfig


@asynccontextmanager
async def clusterset(place: Place, *, progress: Progress) -> AsyncIterator[Path]:
    """The kubeconfig of two linked clusters whose pods resolve clusterset names.

    Raises MachineFault, ComponentFault, CommandFault, and what building the images raises.
    """
    request = Request(clusters=CLUSTERS, flat=place.mode is Mode.FLAT)
    with guarded(place.folder), TemporaryDirectory() as trust:
        # What a run left that was cut off is not what is to be tested.
        await down(folder=place.folder, progress=progress)
        try:
            await up(request, folder=place.folder, progress=progress)
            await _join(place, trust=Path(trust), progress=progress)
            await _names_answered(place, progress=progress)
            yield place.kubeconfig
        finally:
            await down(folder=place.folder, progress=progress)


async def _join(place: Place, *, trust: Path, progress: Progress) -> None:
    program = await program_image(progress=progress)
    for image in (*await stand_ins(progress=progress), program):
        await load(image.tar, clusters=CLUSTERS, folder=place.folder, progress=progress)
    network = ("--network", NETWORK) if place.mode is Mode.FLAT else ()
    with progress.step("Joining and linking the clusters"):
        await _meshctl(place, "trust", "init", "--dir", str(trust / "root"))
        for cluster in CLUSTERS:
            await _meshctl(
                place,
                *("join", "--context", cluster, "--cluster-id", cluster, "--trust", str(trust / "root")),
                *("--image", program.name, "--service-type", "nodeport", *network),
            )
        await _meshctl(place, "link", *CLUSTERS)


async def _meshctl(place: Place, *arguments: str) -> None:
    """Runs `meshctl` as a person would; raises CommandFault with its last line when it fails."""
    argv: Sequence[str] = (
        sys.executable,
        "-m",
        "mesh_cli",
        "--kubeconfig",
        str(place.kubeconfig),
        *arguments,
    )
    shown = shlex.join(("meshctl", *arguments))
    try:
        async with asyncio.timeout(COMMAND_LIMIT):
            ended = await run_logged(
                argv,
                folder=Path.cwd(),
                environment=dict(os.environ),
                log=place.log,
                on_line=lambda line: None,
            )
    except TimeoutError as error:
        what = f"`{shown}` took more than {COMMAND_LIMIT:.0f} s"
        raise CommandFault(what, next_step=f"read {place.log}") from error
    if ended.code != 0:
        raise CommandFault(f"`{shown}` failed: {ended.last_line}", next_step=f"read {place.log}")


async def _names_answered(place: Place, *, progress: Progress) -> None:
    """Returns when the DNS of every cluster asks ours; raises ComponentFault after two minutes."""
    files = files_in(place.folder)
    names = names_of(files.folder)
    with progress.step(f"Waiting until pods resolve {OURS}"):
        try:
            async with asyncio.timeout(DNS_LIMIT):
                for cluster in state_of_running(files).plan.clusters:
                    network = names.namespace(cluster.first.name)
                    while not await _answers(cluster, network=network):  # noqa: ASYNC110  # no event says so
                        await asyncio.sleep(PACE)
        except TimeoutError as error:
            raise ComponentFault(
                f"after {DNS_LIMIT:.0f} s cluster DNS does not answer {OURS}",
                next_step="look at ConfigMap kube-system/coredns and at the pods of meshctl-dns",
            ) from error


async def _answers(cluster: ClusterPlan, *, network: Path) -> bool:
    return await asyncio.to_thread(dns_answers, cluster.dns_address, network=network, name=OURS)

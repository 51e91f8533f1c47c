"""Bringing a set of clusters up, or back.

Laws:
1. Nothing is made before all that can be refused was looked at, and all that must be built is built.
2. A set that runs is left alone. One that was complete once is repaired: what died is started again on
   its data. What a run left that was cut off before that is removed and made anew.
"""

from enum import Enum
from pathlib import Path

from mesh_local.binaries import FULL, LIGHT, find_binaries
from mesh_local.cluster import Supplies
from mesh_local.errors import BadRequest, MachineFault, Occupied, machine_refusals
from mesh_local.images import coredns_image, pause_image
from mesh_local.layout import CLUSTER_MARK, SetFiles, files_in
from mesh_local.locks import alone_on_set
from mesh_local.machine import missing_packages
from mesh_local.names import SetNames, names_of
from mesh_local.plan import Request, check, same_set
from mesh_local.raising import Raising
from mesh_local.root import require_root
from mesh_local.set_state import Phase, read_state
from mesh_local.status import look_at
from mesh_runtime.progress import Progress


class Outcome(Enum):
    """What `up` had to do."""

    MADE = "made"
    REPAIRED = "repaired"
    RUNNING = "running"


async def up(request: Request, *, folder: Path, progress: Progress) -> Outcome:
    """Returns when every cluster of `request` is ready, with its state below `folder`.

    Raises BadRequest, Occupied, MachineFault, ComponentFault, CommandFault, and what building the
    programs and images raises.
    """
    check(request)
    require_root("up")
    files = files_in(folder)
    names = names_of(files.folder)
    _refuse_foreign(request, files=files)
    with machine_refusals():
        return await _up_alone(request, names=names, files=files, progress=progress)


async def _up_alone(request: Request, *, names: SetNames, files: SetFiles, progress: Progress) -> Outcome:
    async with alone_on_set(names.run_folder, folder=files.folder):
        state = read_state(files)
        if state is not None and not same_set(state.request, request):
            raise BadRequest(
                f"the clusters in {files.folder} are others: {_described(state.request)}",
                next_step="take them down first (meshctl local down), or use another --dir",
            )
        if state is not None and (await look_at(state, files=files)).whole:
            return Outcome.RUNNING
        supplies = await supplies_for(request, progress=progress)
        raising = Raising(names=names, files=files, supplies=supplies, progress=progress)
        if state is not None and state.phase is Phase.UP:
            await raising.repair(state)
            return Outcome.REPAIRED
        await raising.make(request)
        return Outcome.MADE


def _refuse_foreign(request: Request, *, files: SetFiles) -> None:
    """Raises Occupied when something that is not ours stands where the set's files would go."""
    foreign = [
        folder
        for name in request.clusters
        if (folder := files.folder / name).exists()
        and not (folder / CLUSTER_MARK).exists()
        # An empty one is what a run leaves that was killed before it could mark it.
        and not (folder.is_dir() and not any(folder.iterdir()))
    ]
    if not files.state.exists() and files.kubeconfig.exists():
        foreign.append(files.kubeconfig)
    if foreign or (files.folder.exists() and not files.folder.is_dir()):
        raise Occupied(
            f"{', '.join(map(str, foreign)) or files.folder} is not of local clusters",
            next_step="move it away, or use another --dir",
        )


async def supplies_for(request: Request, *, progress: Progress) -> Supplies:
    """What such clusters are made of, built if need be; raises MachineFault for what the machine lacks."""
    missing = missing_packages(light=request.light)
    if missing:
        raise MachineFault(
            f"this machine lacks {', '.join(missing)}",
            next_step=f"run `meshctl local prepare`, or: apt-get install {' '.join(missing)}",
        )
    components = LIGHT if request.light else FULL
    binaries = await find_binaries(components=components, progress=progress)
    if request.light:
        return Supplies(binaries=binaries, images=())
    images = (await pause_image(progress=progress), await coredns_image(progress=progress))
    return Supplies(binaries=binaries, images=images)


def _described(request: Request) -> str:
    shape = [f"{request.nodes} nodes each"] if request.nodes > 1 else []
    shape += [
        word
        for word, so in (("flat", request.flat), ("light", request.light), ("audit", request.audit))
        if so
    ]
    return ", ".join([*request.clusters, *(f"({one})" for one in shape)])

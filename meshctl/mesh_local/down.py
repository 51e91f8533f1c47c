"""Taking a set of clusters down: nothing of it is left, whatever state it was in."""

import asyncio
from pathlib import Path

from mesh_local.errors import machine_refusals
from mesh_local.layout import files_in
from mesh_local.leftovers import find_leftovers, remove_leftovers
from mesh_local.locks import alone_on_set
from mesh_local.names import names_of
from mesh_local.root import require_root
from mesh_runtime.progress import Progress


async def down(*, folder: Path, progress: Progress) -> bool:
    """Removes the set of `folder`; False when there was nothing of it.

    Raises Occupied when another command works on the set, MachineFault when something does not end.
    """
    require_root("down")
    files = files_in(folder)
    names = names_of(files.folder)
    with machine_refusals():
        async with alone_on_set(names.run_folder, folder=files.folder):
            if not await asyncio.to_thread(find_leftovers, names, files=files):
                return False
            with progress.step(f"Taking down the clusters in {files.folder}"):
                await remove_leftovers(names, files=files)
    return True

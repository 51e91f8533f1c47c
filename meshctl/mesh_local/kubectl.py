"""The command line of the kubectl that belongs to a set."""

from collections.abc import Sequence
from pathlib import Path

from mesh_local.layout import files_in
from mesh_local.load import choose
from mesh_local.set_state import state_of_running


def kubectl_command(arguments: Sequence[str], *, cluster: str | None, folder: Path) -> list[str]:
    """argv of kubectl with `arguments` against the named cluster, or the first.

    Raises NotThere for a set or a cluster that is not there.
    """
    files = files_in(folder)
    state = state_of_running(files)
    (chosen, *_) = choose(state, clusters=[cluster] if cluster else [])
    where = [f"--kubeconfig={files.kubeconfig}", f"--context={chosen.name}"]
    return [*state.kubectl, *where, *arguments]

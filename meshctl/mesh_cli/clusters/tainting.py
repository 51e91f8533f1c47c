"""What taint, untaint, drain and undrain have in common: a change of the list of taints."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mesh_cli.clusters.one import Patch, changed, hub_client
from mesh_cli.clusters.render import taint_text
from mesh_cli.clusters.taints import taints_patch
from mesh_placement.objects import ClusterRegistration, Taint

Change = Callable[[Sequence[Taint]], tuple[Taint, ...]]


async def tainted(kubeconfig: Path | None, *, context: str | None, name: str, change: Change) -> str:
    """Change the taints of cluster `name`; what it has then, as a line."""

    def patch(found: ClusterRegistration) -> Patch:
        return taints_patch(found.spec.taints, change(found.spec.taints))

    async with hub_client(kubeconfig, context=context) as client:
        after = await changed(client, name, change=patch)
    taints = ", ".join(map(taint_text, after.spec.taints))
    return f"{name} has the taints {taints}" if taints else f"{name} has no taints"

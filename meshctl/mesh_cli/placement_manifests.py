"""What registration installs: on the hub, and on a member. Of the manifests of this version."""

from collections.abc import Iterable

from mesh_cli.install import PROGRAM_IMAGE, in_order
from mesh_cli.kustomize import Manifest, identity, render
from mesh_cli.shipped import manifests_folder

_HUB = ("namespace", "crds/placement", "crds/placement-standard", "placement/hub", "placement/access")
_AGENT = ("namespace", "crds/placement-standard/applied", "placement/agent")


def hub_manifests(*, image: str | None) -> list[Manifest]:
    """All that a hub has; `image` is a whole image reference in place of the shipped one."""
    return _rendered(_HUB, image=image)


def agent_manifests(*, image: str | None) -> list[Manifest]:
    """All that a member has, but for its settings."""
    return _rendered(_AGENT, image=image)


def _rendered(folders: Iterable[str], *, image: str | None) -> list[Manifest]:
    images = {PROGRAM_IMAGE: image} if image else {}
    manifests = [one for folder in folders for one in render(manifests_folder() / folder, images=images)]
    # A folder may bring along what another one has too.
    return in_order({identity(one): one for one in manifests}.values())

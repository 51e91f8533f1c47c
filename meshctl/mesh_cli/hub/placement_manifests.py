"""What registration installs: on the hub, and on a member. Of the manifests of this version."""

from mesh_cli.install.kustomize import Manifest, render
from mesh_cli.install.manifests import PROGRAM_IMAGE, in_order
from mesh_cli.install.shipped import manifests_folder


def hub_manifests(*, image: str | None) -> list[Manifest]:
    """All that a hub has; `image` is a whole image reference in place of the shipped one."""
    return _rendered("overlays/hub", image=image)


def agent_manifests(*, image: str | None, access: bool) -> list[Manifest]:
    """All that a member has, but for its settings; with `access` also its consent to the hub's users."""
    return in_order(_rendered("overlays/member", image=image) + (consent_manifests() if access else []))


def consent_manifests() -> list[Manifest]:
    """A member's consent: the hub's users are let in, each as who he is."""
    return _rendered("placement/agent-access", image=None)


def _rendered(folder: str, *, image: str | None) -> list[Manifest]:
    images = {PROGRAM_IMAGE: image} if image else {}
    return in_order(render(manifests_folder() / folder, images=images))

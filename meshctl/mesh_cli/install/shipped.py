"""Where the manifests of this version lie: in the wheel beside our package, or in the checkout."""

from enum import Enum
from pathlib import Path

from mesh_core.errors import MeshError


class Overlay(Enum):
    """How peers reach the gateway; the value is the folder below `overlays`."""

    LOAD_BALANCER = "loadbalancer"
    NODE_PORT = "nodeport"


class Component(Enum):
    """What may be changed of an installation; the value is the folder below `components`."""

    HIGH_AVAILABILITY = "high-availability"
    HOST_PORT = "host-port"
    NETWORK_POLICY = "network-policy"
    EVENT_POLICY = "event-policy"

    @property
    def label(self) -> str:
        """The label of our namespace that says that it was applied."""
        return f"meshctl.dev/with-{self.value}"


class ManifestsMissing(MeshError):
    """The package was installed without its manifests."""

    def __init__(self) -> None:
        super().__init__("this installation has no manifests", next_step="install clusterset-mesh again")


def manifests_folder() -> Path:
    """The folder that `manifests/README.md` describes; raises ManifestsMissing."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "manifests", here.parents[3] / "manifests"):
        if (folder / "overlays").is_dir():
            return folder
    raise ManifestsMissing


def overlay_folder(overlay: Overlay) -> Path:
    """The kustomization of one overlay."""
    return manifests_folder() / "overlays" / overlay.value


def component_folder(component: Component) -> Path:
    """The kustomization of one component."""
    return manifests_folder() / "components" / component.value


def sample_folder(name: str) -> Path:
    """The kustomization of one sample ("hello", "client")."""
    return manifests_folder() / "samples" / name

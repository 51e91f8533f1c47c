"""Where the programs of a Kubernetes cluster come from.

In this order (the convention of envtest first): the folder that KUBEBUILDER_ASSETS names, then PATH,
then the single binary that we build from the Go module in `kubernetes/`. All programs of one answer
come from one origin, so that their versions agree. CoreDNS is always ours: it needs the plugin
`multicluster`, and nothing on PATH tells whether it is in.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mesh_core.errors import UserError
from mesh_local.go_build import Module, built
from mesh_runtime.progress import Progress

KUBERNETES_VERSION = "v1.34.4"
ASSETS = "KUBEBUILDER_ASSETS"


class Component(Enum):
    """A program of a cluster; its value is the name of its executable."""

    ETCD = "etcd"
    API_SERVER = "kube-apiserver"
    CONTROLLER_MANAGER = "kube-controller-manager"
    SCHEDULER = "kube-scheduler"
    KUBELET = "kubelet"
    PROXY = "kube-proxy"
    KUBECTL = "kubectl"


LIGHT = (Component.ETCD, Component.API_SERVER, Component.KUBECTL)
FULL = tuple(Component)


@dataclass(frozen=True, slots=True)
class Binaries:
    """How each program is started: its absolute argv prefix; and where they all come from."""

    commands: Mapping[Component, tuple[str, ...]]
    origin: str


async def find_binaries(*, components: Sequence[Component], progress: Progress) -> Binaries:
    """All of `components` from the first origin that has them all; builds ours when none has.

    Raises UserError when KUBEBUILDER_ASSETS names no folder, and what `go_build.built` raises.
    """
    found = ready_binaries(components=components, environment=os.environ)
    if found is not None:
        return found
    binary = await built(_KUBERNETES, progress=progress)
    commands = {component: (str(binary), component.value) for component in components}
    return Binaries(commands=commands, origin=f"built {KUBERNETES_VERSION}")


def ready_binaries(*, components: Sequence[Component], environment: Mapping[str, str]) -> Binaries | None:
    """All of `components` as this environment offers them, or None when no origin has them all.

    Raises UserError when KUBEBUILDER_ASSETS names no folder.
    """
    assets = environment.get(ASSETS, "")
    if assets and not Path(assets).is_dir():
        raise UserError(
            f"{ASSETS} is {assets}, which is no folder",
            next_step=f"correct {ASSETS} or unset it",
        )
    for origin, path in ((ASSETS, assets), ("PATH", environment.get("PATH", ""))):
        commands = {
            component: (os.path.abspath(program),)
            for component in components
            if path and (program := shutil.which(component.value, path=path)) is not None
        }
        if len(commands) == len(set(components)):
            return Binaries(commands=commands, origin=origin)
    return None


async def coredns_binary(*, progress: Progress) -> Path:
    """Our CoreDNS, built when it is not in the cache. Raises what `go_build.built` raises."""
    return await built(_COREDNS, progress=progress)


def _version_flags() -> str:
    """The linker flags that Kubernetes' own build sets, for all who report a version."""
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {"gitVersion": KUBERNETES_VERSION, "gitMajor": major, "gitMinor": minor}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())


_HERE = Path(__file__).parent
_KUBERNETES = Module(
    what=f"Kubernetes {KUBERNETES_VERSION}",
    folder=_HERE / "kubernetes",
    linker_flags=_version_flags(),
    instead=f"set {ASSETS}",
)
_COREDNS = Module(what="CoreDNS 1.15.0", folder=_HERE / "coredns", linker_flags="", instead="")

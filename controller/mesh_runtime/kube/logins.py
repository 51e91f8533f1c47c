"""One context of a kubeconfig as it is written down: for whoever passes it on.

1. What is passed on needs no file beside it: the content of those that it names is put in their place.
2. Programs that it names (`exec`, `auth-provider`) are told apart, because nobody else's machine has them.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mesh_runtime.kube.config import as_kubeconfig_error, current_context, source_of
from mesh_runtime.kube.errors import KubeconfigError

if TYPE_CHECKING:
    from kubernetes.aio.config.kube_config import ConfigNode

# An entry of a kubeconfig: whatever YAML has, hence Any.
Entry = dict[str, Any]

_PROGRAMS = ("exec", "auth-provider")
_CLUSTER_FILES = {"certificate-authority": "certificate-authority-data"}
_USER_FILES = {"client-certificate": "client-certificate-data", "client-key": "client-key-data"}


@dataclass(frozen=True, slots=True)
class Login:
    """A way to an API server: where it is, whom it is believed by, and who one is there."""

    context: str
    cluster: Entry
    user: Entry = field(repr=False)

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self.cluster["server"]).rstrip("/")

    @property
    def ca(self) -> bytes:
        """Certificates in PEM that its server is believed by; b"" for those of this machine."""
        return base64.b64decode(self.cluster.get("certificate-authority-data", ""))

    @property
    def program(self) -> str:
        """What gives the credential, where that is a program of this machine: "exec" or "auth-provider"."""
        return next((name for name in _PROGRAMS if name in self.user), "")


def read_login(*, kubeconfig: Path | None = None, context: str | None = None) -> Login:
    """The context named, else the current one; raises KubeconfigError."""
    from kubernetes.aio.config.kube_config import KubeConfigMerger

    source = source_of(kubeconfig)
    name = context or current_context(kubeconfig=kubeconfig)
    with as_kubeconfig_error(source):
        merged = KubeConfigMerger(source).config
        entry = merged["contexts"].get_with_name(name)["context"]
        cluster = merged["clusters"].get_with_name(entry["cluster"])
        user = merged["users"].get_with_name(entry["user"]) if entry.safe_get("user") else None
        return Login(
            context=name,
            cluster=_inlined(cluster, part="cluster", files=_CLUSTER_FILES),
            user=_inlined(user, part="user", files=_USER_FILES) if user is not None else {},
        )


def kubeconfig_of(login: Login, *, name: str, server: str = "") -> str:
    """A kubeconfig in YAML with this one way, under `name`; `server` is another URL for it."""
    import yaml

    cluster = {**login.cluster, "server": server or login.server}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": login.user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False, width=1_000_000)


def _inlined(node: "ConfigNode", *, part: str, files: Mapping[str, str]) -> Entry:
    """The part of an entry, with the content of its files; their paths begin where its own file is."""
    entry: Entry = dict(node[part].value)
    folder = Path(node.path).parent
    for key, inline in files.items():
        path = entry.pop(key, None)
        if path and inline not in entry:
            entry[inline] = base64.b64encode(_content(folder / path)).decode()
    path = entry.pop("tokenFile", None)
    if path and "token" not in entry:
        entry["token"] = _content(folder / path).decode().strip()
    return entry


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KubeconfigError(
            f"the kubeconfig names {path}, which cannot be read ({error.strerror})",
            next_step="put the file back, or correct the kubeconfig",
        ) from error

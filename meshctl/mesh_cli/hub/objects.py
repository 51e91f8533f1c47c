"""What makes a cluster the hub, as objects. Pure.

`HUB_INFO` is read by whoever wants to come in, and by everybody: it holds nothing secret.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mesh_cli.install.kustomize import Manifest
from mesh_core.errors import UserError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import ConfigMap
from mesh_placement.names import AGENT_MANIFESTS, DEDICATED, HUB_INFO
from mesh_runtime.ca_pins import pins_of

# A JSON object for the API server.
Body = Mapping[str, Any]

PUBLIC_NAMESPACE = "kube-public"
DEFAULT_SET = "default"
"""Name of the ClusterSet that `meshctl hub init` makes."""

AGENT_KEY, CONSENT_KEY = "agent.yaml", "access.yaml"
"""Keys of `AGENT_MANIFESTS`."""

_SERVER, _CA = "server", "ca.crt"


class NoHub(UserError):
    """A cluster does not say that it is a hub."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} is no hub: it has no ConfigMap {PUBLIC_NAMESPACE}/{HUB_INFO}, or an incomplete one",
            next_step="make it one with meshctl hub init, or use the context of the hub",
        )


@dataclass(frozen=True, slots=True)
class HubInfo:
    """Where members reach the hub's API server, and the certificates in PEM that they believe it by.

    `dedicated`: it runs no workloads, so that templates may lie in it; None where nobody has said.
    """

    server: str
    ca: bytes
    dedicated: bool | None = None

    @property
    def pins(self) -> tuple[str, ...]:
        """What `--ca-hash` says of it."""
        return pins_of(self.ca, what=f"ConfigMap {PUBLIC_NAMESPACE}/{HUB_INFO}")


def info_body(info: HubInfo) -> Body:
    """The ConfigMap that says where the hub is."""
    said = {} if info.dedicated is None else {DEDICATED: str(info.dedicated).lower()}
    return {
        "metadata": {"name": HUB_INFO, "namespace": PUBLIC_NAMESPACE},
        "data": {_SERVER: info.server, _CA: info.ca.decode(), **said},
    }


def info_in(found: ConfigMap | None, *, where: str) -> HubInfo:
    """What a hub says of itself; raises NoHub naming `where` it was looked for."""
    data = found.data if found is not None else {}
    if not data.get(_SERVER) or not data.get(_CA):
        raise NoHub(where)
    return HubInfo(server=data[_SERVER].rstrip("/"), ca=data[_CA].encode(), dedicated=is_dedicated(data))


def is_dedicated(data: Mapping[str, str]) -> bool | None:
    """What that ConfigMap says of it; None for nothing."""
    return {"true": True, "false": False}.get(data.get(DEDICATED, ""))


def set_body(name: str, *, profile_namespace: str = "") -> Body:
    """A ClusterSet; its ClusterProfiles lie in `profile_namespace`, by default `clusterset-<name>`."""
    return {
        "metadata": {"name": name},
        "spec": {"profileNamespace": profile_namespace or f"clusterset-{name}"},
    }


def agent_manifests_body(manifests: Iterable[Manifest], *, consent: Iterable[Manifest]) -> Body:
    """The ConfigMap with what the hub applies to a member that it dials in to; `consent` only where that
    was given."""
    return {
        "metadata": {"name": AGENT_MANIFESTS, "namespace": SYSTEM_NAMESPACE},
        "data": {
            AGENT_KEY: yaml.safe_dump_all(manifests, sort_keys=False),
            CONSENT_KEY: yaml.safe_dump_all(consent, sort_keys=False),
        },
    }

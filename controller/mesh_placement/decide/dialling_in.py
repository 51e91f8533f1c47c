"""Auto: what the hub writes into a member that it dials in to (the member's half of `meshctl register`)."""

import base64
from collections.abc import Mapping
from typing import Any, Final

import yaml

from mesh_core.errors import UserError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Secret
from mesh_core.plan import Json
from mesh_placement.decide.bootstrap_token import BootstrapToken
from mesh_placement.decide.profile import HubAddress
from mesh_placement.names import AGENT_SETTINGS, LABEL_CLUSTER
from mesh_placement.objects import ClusterRegistration

CONSENT_KEY: Final = "access.yaml"
"""Value of AGENT_MANIFESTS that is applied only where the member lets the hub's users in."""
# What others need before they can be written.
_FIRST: Final = ("CustomResourceDefinition", "Namespace")


class BadManifests(UserError):
    """The manifests of the agent cannot be read."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the agent's manifests cannot be used ({why})",
            next_step="write them again with meshctl hub init",
        )


class RegisteredElsewhere(UserError):
    """The member has a hub, and it is not this one."""

    def __init__(self, *, server: str, cluster: str) -> None:
        super().__init__(
            f"the member is registered as {cluster} at {server}",
            next_step="let it leave there first (meshctl clusters leave)",
        )


def manifests_of(data: Mapping[str, str], *, access: bool) -> tuple[Json, ...]:
    """The objects in a ConfigMap's values (YAML documents), in the order of writing; with `access` those too
    that let the hub's users in. Raises BadManifests."""
    found: list[Json] = []
    for key in sorted(data):
        if key == CONSENT_KEY and not access:
            continue
        try:
            documents = list(yaml.safe_load_all(data[key]))
        except yaml.YAMLError:
            raise BadManifests(f"{key} is no YAML") from None
        found += [_manifest(one, key=key) for one in documents if one is not None]
    if not found:
        raise BadManifests("there are none")
    return tuple(sorted(found, key=_rank))


def settings_of(
    registration: ClusterRegistration,
    *,
    hub: HubAddress,
    token: BootstrapToken,
    advertise: str,
    access: bool,
) -> Json:
    """The Secret AGENT_SETTINGS; `advertise` is where the hub reaches the member's API server."""
    cluster = registration.metadata.name
    values = {
        "server": hub.server,
        "ca.crt": hub.ca,
        "cluster-id": cluster,
        "cluster-set": registration.spec.cluster_set,
        "driver": registration.spec.driver,
        "mode": "Auto",
        "token": token.text,
        "advertise": advertise,
        "access": "true" if access else "false",
    }
    return {
        "metadata": {
            "name": AGENT_SETTINGS,
            "namespace": SYSTEM_NAMESPACE,
            "labels": {LABEL_CLUSTER: cluster},
        },
        "type": "Opaque",
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()},
    }


def check_is_free(settings: Secret | None, *, hub: HubAddress, cluster: str) -> None:
    """Raises RegisteredElsewhere where the member's settings name another hub, or another name here."""
    if settings is None:
        return
    server, name = secret_text(settings, "server"), secret_text(settings, "cluster-id")
    if (server.rstrip("/"), name) != (hub.server.rstrip("/"), cluster):
        raise RegisteredElsewhere(server=server, cluster=name)


def secret_text(secret: Secret, key: str) -> str:
    """A value of a Secret as text; "" when there is none that reads."""
    try:
        return base64.b64decode(secret.data.get(key, ""), validate=True).decode()
    except ValueError:
        return ""


def _manifest(value: Any, *, key: str) -> Json:  # Any: whatever YAML has
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
        raise BadManifests(f"a document of {key} is no object")
    if not all(isinstance(value.get(name), str) for name in ("apiVersion", "kind")):
        raise BadManifests(f"a document of {key} has no kind")
    return value


def _rank(manifest: Json) -> bool:
    """Stable: among those of a rank the order of the file stays."""
    return manifest["kind"] not in _FIRST

"""What makes a cluster register, as objects: applied by `meshctl register`, or by GitOps. Pure."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from mesh_cli.hub.objects import HubInfo
from mesh_cli.install.kustomize import Manifest
from mesh_core.identity import ClusterId
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_placement.decide.bootstrap_token import BootstrapToken
from mesh_placement.names import AGENT_SETTINGS, JOIN_KUBECONFIG_PREFIX, LABEL_CLUSTER
from mesh_placement.objects import Distribution, Driver
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.kube import SECRETS, Resource

# A JSON object for the API server.
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a member's agent is told. `advertise` is the URL at which the hub dials this member's API server,
    "" for by tunnel only; `allow_access` lets the hub's users in as themselves; `cluster_set` "" is whatever
    the token says."""

    info: HubInfo
    cluster: ClusterId
    token: BootstrapToken = field(repr=False)
    driver: Driver = "csr"
    cluster_set: str = ""
    advertise: str = ""
    allow_access: bool = False


@dataclass(frozen=True, slots=True)
class DialIn:
    """What the hub is told of a member that it dials in to; `kubeconfig` is used once and deleted."""

    cluster: ClusterId
    cluster_set: str
    kubeconfig: str = field(repr=False)
    driver: Driver = "csr"
    distribution: Distribution = "Pull"
    allow_access: bool = False


def settings_body(settings: Settings) -> Body:
    """The Secret by which the agent begins."""
    values = {
        "server": settings.info.server,
        "ca.crt": settings.info.ca.decode(),
        "cluster-id": settings.cluster,
        "cluster-set": settings.cluster_set,
        "driver": settings.driver,
        "mode": "Manual",
        "token": settings.token.text,
        "advertise": settings.advertise,
        "access": "true" if settings.allow_access else "false",
    }
    return _secret(AGENT_SETTINGS, values, labels={LABEL_CLUSTER: settings.cluster})


def kubeconfig_body(dial: DialIn) -> Body:
    """The Secret by which the hub dials in; the hub deletes it."""
    values = {"kubeconfig": dial.kubeconfig, "access": "true" if dial.allow_access else "false"}
    return _secret(f"{JOIN_KUBECONFIG_PREFIX}{dial.cluster}", values, labels={LABEL_CLUSTER: dial.cluster})


def registration_body(dial: DialIn) -> Body:
    """The registration of a member that the hub dials in to: who wrote it has accepted it."""
    spec = {
        "clusterSet": dial.cluster_set,
        "accepted": True,
        "mode": "Auto",
        "driver": dial.driver,
        "distribution": dial.distribution,
    }
    return {"metadata": {"name": dial.cluster}, "spec": spec}


def manual_yaml(manifests: Iterable[Manifest], settings: Settings) -> str:
    """All objects for the member, in the order in which they are to be applied."""
    return _documents([*manifests, _full(SECRETS, settings_body(settings))])


def auto_yaml(dial: DialIn) -> str:
    """Both objects for the hub."""
    return _documents(
        [_full(SECRETS, kubeconfig_body(dial)), _full(CLUSTER_REGISTRATIONS, registration_body(dial))]
    )


def _secret(name: str, values: Mapping[str, str], *, labels: Mapping[str, str]) -> Body:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    meta = {"name": name, "namespace": SYSTEM_NAMESPACE, "labels": {k: str(v) for k, v in labels.items()}}
    return {"metadata": meta, "type": "Opaque", "data": data}


def _full(resource: Resource[Any], body: Body) -> Body:  # Any: resources of several types
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body}


def _documents(bodies: Iterable[Body]) -> str:
    texts = (yaml.safe_dump(dict(one), sort_keys=False, width=1_000_000) for one in bodies)
    return "---\n".join(texts)

"""Which clusters of Cluster API come in by themselves: pure.

1. A Cluster says by a label into which set it wants, and the set says from which namespaces it takes any: to
   write Clusters somewhere is not to let clusters in.
2. Where the name is registered already, that cluster is left alone, whosever it is.
3. Nothing is destroyed here, and nothing is made: a Cluster that is being deleted is sent away, if it came by
   this import, and Cluster API destroys it.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

from mesh_core.objects import Secret
from mesh_placement.decide.dialling_in import secret_text
from mesh_placement.names import LABEL_CLUSTERSET
from mesh_placement.objects import ClusterRegistration, ClusterSet
from mesh_placement.objects.cluster_api import ApiCluster

PROVIDER: Final = "capi"
_PROVISIONED: Final = "Provisioned"
_SECRET_TYPE: Final = "cluster.x-k8s.io/secret"
_KUBECONFIG: Final = "value"
_CLUSTER_ID: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Import(Enum):
    """What is to be done about a Cluster."""

    NOTHING = "nothing"
    REGISTER = "register it"
    SEND_AWAY = "send it away"


def import_of(
    cluster: ApiCluster, *, sets: Mapping[str, ClusterSet], registration: ClusterRegistration | None
) -> Import:
    """`registration` is the one of its name, whoever made it."""
    if cluster.metadata.deletion_timestamp is not None:
        if registration is None or not came_from(registration, cluster):
            return Import.NOTHING
        return Import.SEND_AWAY if registration.metadata.deletion_timestamp is None else Import.NOTHING
    wanted = sets.get(set_of(cluster))
    if wanted is None or wanted.metadata.deletion_timestamp is not None:
        return Import.NOTHING
    if cluster.metadata.namespace not in wanted.spec.import_namespaces:
        return Import.NOTHING
    if registration is not None or _CLUSTER_ID.fullmatch(cluster.metadata.name) is None:
        return Import.NOTHING
    return Import.REGISTER if cluster.status.phase == _PROVISIONED else Import.NOTHING


def set_of(cluster: ApiCluster) -> str:
    """The set that it wants into, "" for none."""
    return cluster.metadata.labels.get(LABEL_CLUSTERSET, "")


def came_from(registration: ClusterRegistration, cluster: ApiCluster) -> bool:
    """Whether it was registered by the import of that very Cluster."""
    came = registration.spec.provision
    return came is not None and (came.provider, came.claim_uid) == (PROVIDER, cluster.metadata.uid)


def kubeconfig_name(cluster: ApiCluster) -> str:
    """The Secret beside the Cluster that its control plane provider writes."""
    return f"{cluster.metadata.name}-kubeconfig"


def kubeconfig_in(secret: Secret | None) -> str:
    """What it has, "" where there is none yet, or it is no Secret of Cluster API's."""
    return secret_text(secret, _KUBECONFIG) if secret is not None and secret.type == _SECRET_TYPE else ""

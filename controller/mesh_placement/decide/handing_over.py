"""What hands a cluster over to the hub, which dials in to it once: the Secret with its kubeconfig, and its
registration. Whoever writes these two has accepted the cluster."""

import base64

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.plan import Json
from mesh_placement.names import JOIN_KUBECONFIG_PREFIX, LABEL_CLUSTER
from mesh_placement.objects import Driver, Provisioned


def join_secret(cluster: str, *, kubeconfig: str, access: bool) -> Json:
    """The Secret by which the hub dials in, and then deletes; with `access` the hub's users are let in."""
    values = {"kubeconfig": kubeconfig, "access": "true" if access else "false"}
    return {
        "metadata": {
            "name": f"{JOIN_KUBECONFIG_PREFIX}{cluster}",
            "namespace": SYSTEM_NAMESPACE,
            "labels": {LABEL_CLUSTER: cluster},
        },
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }


def provided_registration(cluster: str, *, cluster_set: str, driver: Driver, provision: Provisioned) -> Json:
    """The registration of a cluster that a provider brings."""
    came = {"provider": provision.provider, "claim": provision.claim, "claimUID": provision.claim_uid}
    spec = {
        "clusterSet": cluster_set,
        "accepted": True,
        "mode": "Auto",
        "driver": driver,
        "provision": came,
    }
    return {"metadata": {"name": cluster}, "spec": spec}

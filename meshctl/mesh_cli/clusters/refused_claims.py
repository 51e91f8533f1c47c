"""Clusters that the hub has refused lately, out of their requests on it. `refused_claims` is pure.

A refusal stands on the request alone, which the hub keeps for an hour: whoever came may have no registration,
or one that belongs to somebody else.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mesh_cli.clusters.survey import ClusterSeen
from mesh_core.objects import CertificateSigningRequest
from mesh_placement.names import ANNOTATION_CLUSTER_UID, LABEL_CLUSTER, claim_name
from mesh_runtime.kube import CSRS, ApiError, KubeClient


@dataclass(frozen=True, slots=True)
class RefusedClaim:
    """Somebody asked to be `cluster`, at `asked` (RFC 3339), and the hub said no."""

    cluster: str
    reason: str
    message: str
    asked: str


async def read_refused(client: KubeClient, *, clusters: Iterable[ClusterSeen]) -> tuple[RefusedClaim, ...]:
    """Those of the hub; none for a reader who may not see requests."""
    try:
        found = await client.list(CSRS, labels=LABEL_CLUSTER)
    except ApiError as error:
        if error.status == 403:
            return ()
        raise
    return refused_claims(found.items, clusters=clusters)


def refused_claims(
    requests: Iterable[CertificateSigningRequest], *, clusters: Iterable[ClusterSeen]
) -> tuple[RefusedClaim, ...]:
    """One for each cluster whose newest request was refused, by name; a name may have two.

    What was refused before one of `clusters` renewed its Lease with that very key is over.
    """
    known = {one.name: one for one in clusters}
    newest: dict[tuple[str, str], CertificateSigningRequest] = {}
    for one in sorted(requests, key=lambda one: (one.metadata.creation_timestamp, one.metadata.name)):
        meta = one.metadata
        newest[meta.labels.get(LABEL_CLUSTER, ""), meta.annotations.get(ANNOTATION_CLUSTER_UID, "")] = one
    return tuple(
        RefusedClaim(
            cluster=cluster,
            reason=condition.reason,
            message=" ".join(condition.message.split()),
            asked=one.metadata.creation_timestamp,
        )
        for (cluster, _), one in sorted(newest.items())
        for condition in one.status.conditions
        if cluster and condition.type == "Denied" and condition.status == "True"
        if not _is_over(one, known.get(cluster))
    )


def _is_over(request: CertificateSigningRequest, cluster: ClusterSeen | None) -> bool:
    if cluster is None or not cluster.fingerprint:
        return False
    is_its_own = request.metadata.name.startswith(claim_name(cluster.name, fingerprint=cluster.fingerprint))
    return is_its_own and cluster.renewed > request.metadata.creation_timestamp

"""What the hub watches: one cache a kind, made before any loop, run for as long as the program."""

from collections.abc import Iterable
from typing import Any

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import CertificateSigningRequest
from mesh_placement.decide.bootstrap_token import NAMESPACE as TOKEN_NAMESPACE
from mesh_placement.decide.bootstrap_token import SECRET_TYPE
from mesh_placement.decide.profile import HubAddress
from mesh_placement.hub.claim_reading import cluster_of
from mesh_placement.hub.watched_together import WatchedTogether
from mesh_placement.names import (
    CLUSTER_MANAGER,
    DEDICATED,
    HUB_INFO,
    JOIN_KUBECONFIG_PREFIX,
    LABEL_CLUSTER,
    LABEL_CLUSTER_MANAGER,
    LEASE,
    LINKS,
    SIGNER_CLAIM,
    SIGNER_CLIENT,
)
from mesh_placement.objects import ClusterLink, ClusterRegistration
from mesh_placement.resources import CLUSTER_LINKS, CLUSTER_PROFILES, CLUSTER_REGISTRATIONS, CLUSTER_SETS
from mesh_runtime.kube import CONFIG_MAPS, CSRS, LEASES, SECRETS, Informer, KubeClient

PUBLIC_NAMESPACE = "kube-public"


class HubCaches(WatchedTogether):
    """Wire followers first, then `run()`; wait for `until_synced` before believing an absence."""

    def __init__(self, kube: KubeClient) -> None:
        self.registrations = Informer(kube, CLUSTER_REGISTRATIONS)
        self.sets = Informer(kube, CLUSTER_SETS)
        # Other people's requests for the same signer come along; they have no label of ours.
        self.requests = tuple(
            Informer(kube, CSRS, fields=f"spec.signerName={signer}")
            for signer in (SIGNER_CLIENT, SIGNER_CLAIM)
        )
        self.tokens = Informer(kube, SECRETS, namespace=TOKEN_NAMESPACE, fields=f"type={SECRET_TYPE}")
        self.leases = Informer(kube, LEASES, fields=f"metadata.name={LEASE}")
        self.info = Informer(
            kube, CONFIG_MAPS, namespace=PUBLIC_NAMESPACE, fields=f"metadata.name={HUB_INFO}"
        )
        self.joins = Informer(kube, SECRETS, namespace=SYSTEM_NAMESPACE, labels=LABEL_CLUSTER)
        self.links = Informer(kube, CLUSTER_LINKS, fields=f"metadata.name={LINKS}")
        self.profiles = Informer(kube, CLUSTER_PROFILES, labels=f"{LABEL_CLUSTER_MANAGER}={CLUSTER_MANAGER}")
        self._by_cluster = tuple(one.index(_claimed) for one in self.requests)
        self._by_uid = self.registrations.index(_kube_system_uid)
        self._by_namespace = self.registrations.index(_namespace)
        self._naming = self.links.index(_peers)
        self._told = self.links.index(_leaving)

    @property
    def _all(self) -> tuple[Informer[Any], ...]:
        # Any: of several types.
        return (
            self.registrations,
            self.sets,
            *self.requests,
            self.tokens,
            self.leases,
            self.info,
            self.joins,
            self.profiles,
            self.links,
        )

    def claims_of(self, cluster: str) -> list[CertificateSigningRequest]:
        """The requests that claim `cluster`, the oldest first; of one second by name."""
        found = [one for index in self._by_cluster for one in index.get(cluster)]
        return sorted(found, key=lambda one: (one.metadata.creation_timestamp, one.metadata.name))

    def uid_holder(self, uid: str, *, beside: str) -> str:
        """A registration other than `beside` whose cluster has that kube-system UID; "" when none has."""
        names = [one.metadata.name for one in self._by_uid.get(uid) if uid]
        return next((name for name in names if name != beside), "")

    def rows_about(self, cluster: str) -> list[tuple[ClusterRegistration, ClusterLink]]:
        """Who names `cluster` among its peers, of the same set, with what it says."""
        own = self.registrations.get(cluster)
        return [
            (teller, link)
            for link in self._naming.get(cluster)
            for teller in self._by_namespace.get(link.metadata.namespace)
            if own is not None and teller.spec.cluster_set == own.spec.cluster_set
        ]

    def told_of(self, cluster: str) -> list[ClusterLink]:
        """Where it is said that a cluster of that name leaves."""
        return self._told.get(cluster)

    def row_of(self, registration: ClusterRegistration) -> ClusterLink | None:
        """What that cluster says of its peers."""
        return self.links.get(LINKS, namespace=registration.status.namespace)

    def address(self) -> HubAddress | None:
        """Where this hub is, if somebody has written it down."""
        info = self.info.get(HUB_INFO, namespace=PUBLIC_NAMESPACE)
        if info is None:
            return None
        return HubAddress(server=info.data.get("server", ""), ca=info.data.get("ca.crt", ""))

    def is_dedicated(self) -> bool:
        """Whether somebody has written down that it runs no workloads."""
        info = self.info.get(HUB_INFO, namespace=PUBLIC_NAMESPACE)
        return info is not None and info.data.get(DEDICATED) == "true"


def joining_cluster(secret_name_: str) -> str:
    """The cluster that a Secret with a kubeconfig is for; "" when it is another Secret."""
    cluster = secret_name_.removeprefix(JOIN_KUBECONFIG_PREFIX)
    return cluster if cluster != secret_name_ else ""


def _claimed(request: CertificateSigningRequest) -> Iterable[str]:
    cluster = cluster_of(request)
    return (cluster,) if cluster else ()


def _namespace(registration: ClusterRegistration) -> Iterable[str]:
    namespace = registration.status.namespace
    return (namespace,) if namespace else ()


def _peers(link: ClusterLink) -> Iterable[str]:
    return [one.cluster for one in link.status.peers]


def _leaving(link: ClusterLink) -> Iterable[str]:
    return [one.cluster for one in link.spec.leaving]


def _kube_system_uid(registration: ClusterRegistration) -> Iterable[str]:
    uid = registration.status.id.uid
    return (uid,) if uid else ()

"""What the failure table found of each cluster, noted on its registration: `status.standing`.

1. A verdict is noted before anything follows of it, and once: on the edge. Whoever leads next goes on from
   there, be it that a cluster was found Dead of which nobody has heard since, or since when it is.
2. Trouble and its end are noted. What is well from the start has no note, and what is frozen (HubIsolated)
   changes none.
3. A registration that is gone, or that does not take the note, keeps nobody else's from being written.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from mesh_core.conditions import rfc3339
from mesh_placement.decide.rights import namespace_of
from mesh_placement.hub.caches import HubCaches
from mesh_placement.names import ANNOTATION_API_LOST, LEASE, STANDING_MANAGER
from mesh_placement.objects import ClusterRegistration
from mesh_placement.objects.standings import NotedStanding, Standing
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_placement.schedule.network.judging import verdict_to_note
from mesh_placement.schedule.snapshot import Cluster, Snapshot
from mesh_runtime.kube import ApiError, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.side_by_side import side_by_side

_log = logger(__name__)
_AT_ONCE = 8
_OF_THIS_ONE = (404, 409, 413, 422)
_FULL = "request is too large"
"""Refusals that are about one registration only. A member may fill its own up to what etcd stores, of which
the API server says 500."""


class StandingBook:
    """One a term of leadership."""

    def __init__(self, kube: KubeClient, *, caches: HubCaches) -> None:
        self._kube = kube
        self._caches = caches
        # By uid: what we noted, because the watch brings it back only later.
        self._told: dict[str, NotedStanding] = {}

    def known_dead(self) -> frozenset[str]:
        """Clusters that were found Dead, and of which nobody has been heard since."""
        found = ((one, self._noted(one)) for one in self._caches.registrations.values())
        return frozenset(
            one.metadata.name for one, noted in found if noted is not None and noted.verdict == "Dead"
        )

    def api_lost(self) -> frozenset[str]:
        """Clusters whose agent says that its own API server does not answer."""
        caches = self._caches
        leases = (
            (one.metadata.name, caches.leases.get(LEASE, namespace=namespace_of(one)))
            for one in caches.registrations.values()
        )
        return frozenset(
            name
            for name, lease in leases
            if lease is not None and lease.metadata.annotations.get(ANNOTATION_API_LOST)
        )

    async def note(self, snapshot: Snapshot) -> None:
        """Write what is new (law 1); raises ApiError or Unreachable where the hub takes no note at all."""
        since = rfc3339(datetime.fromtimestamp(snapshot.now, UTC))
        # A provider that is lost is lost with all of its clusters.
        await side_by_side(
            [
                self._note(registration, NotedStanding(verdict=verdict, since=since))
                for registration, verdict in self._news(snapshot.clusters)
            ],
            at_once=_AT_ONCE,
        )
        there = {one.metadata.uid for one in self._caches.registrations.values()}
        self._told = {uid: noted for uid, noted in self._told.items() if uid in there}

    def _news(self, clusters: Iterable[Cluster]) -> Iterator[tuple[ClusterRegistration, Standing]]:
        for cluster in clusters:
            registration = self._caches.registrations.get(cluster.name)
            if registration is not None:
                before = self._noted(registration)
                verdict = verdict_to_note(cluster, before=before.verdict if before is not None else None)
                if verdict is not None:
                    yield registration, verdict

    async def _note(self, registration: ClusterRegistration, noted: NotedStanding) -> None:
        before, meta, verdict = self._noted(registration), registration.metadata, noted.verdict
        body = {
            "metadata": {"name": meta.name, "uid": meta.uid},
            "status": {"standing": {"verdict": verdict, "since": noted.since}},
        }
        try:
            await self._kube.apply(
                CLUSTER_REGISTRATIONS, body, field_manager=STANDING_MANAGER, subresource="status"
            )
        except ApiError as error:
            if error.status not in _OF_THIS_ONE and _FULL not in error.message:
                raise
            _log.warning("a verdict is not noted", cluster=meta.name, verdict=verdict, why=error.message)
            return
        self._told[meta.uid] = noted
        _log.info(
            "a cluster's standing changed",
            cluster=meta.name,
            before=before.verdict if before is not None else "Ok",
            now=verdict,
        )

    def _noted(self, registration: ClusterRegistration) -> NotedStanding | None:
        return self._told.get(registration.metadata.uid) or registration.status.standing

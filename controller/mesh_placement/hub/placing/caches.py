"""What the placement loop watches beside the hub's other caches (`hub.caches`)."""

from typing import Any

from mesh_core.objects import KubernetesObject
from mesh_placement.decide.assigning import name_of
from mesh_placement.decide.rights import namespace_of
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.watched_together import WatchedTogether
from mesh_placement.names import CAPACITY, LABEL_DECISION_KEY, LABEL_PLACEMENT, LABEL_PLACEMENT_KEY, LINKS
from mesh_placement.objects import Assignment, ClusterRegistration
from mesh_placement.resources import (
    ASSIGNMENTS,
    CLUSTER_CAPACITIES,
    CLUSTER_CLAIMS,
    CLUSTER_LINKS,
    PLACEMENT_DECISIONS,
    PLACEMENT_REPORTS,
    PLACEMENTS,
    PRIORITY_CLASSES,
    RESOURCE_INTERPRETERS,
    WORKS_WITHOUT_CONTENT,
)
from mesh_placement.schedule.ruled import Rules, rules_of
from mesh_placement.schedule.seen_clusters import ClusterRows
from mesh_runtime.kube import NAMESPACES, SECRETS, Informer, KubeClient, Resource

_SECRETS_WITHOUT_CONTENT = Resource("", "v1", SECRETS.plural, SECRETS.kind, KubernetesObject)


class PlacementCaches(WatchedTogether):
    """Wire followers first, then `run()`. Of Works, namespaces and Secrets only the metadata is held."""

    def __init__(self, kube: KubeClient, *, hub: HubCaches) -> None:
        self.hub = hub
        self.placements = Informer(kube, PLACEMENTS)
        self.capacities = Informer(kube, CLUSTER_CAPACITIES)
        self.links = Informer(kube, CLUSTER_LINKS)
        self.assignments = Informer(kube, ASSIGNMENTS)
        self.works = Informer(kube.lists_metadata(), WORKS_WITHOUT_CONTENT)
        self.copies = Informer(kube.lists_metadata(), _SECRETS_WITHOUT_CONTENT, labels=LABEL_PLACEMENT)
        self.namespaces = Informer(kube.lists_metadata(), NAMESPACES)
        self.priorities = Informer(kube, PRIORITY_CLASSES)
        self.decisions = Informer(kube, PLACEMENT_DECISIONS, labels=LABEL_DECISION_KEY)
        self.reports = Informer(kube, PLACEMENT_REPORTS, labels=LABEL_PLACEMENT)
        self.claims = Informer(kube, CLUSTER_CLAIMS)
        self.interpreters = Informer(kube, RESOURCE_INTERPRETERS)
        self._rules: Rules | None = None
        self.interpreters.on_change(self._rules_changed)
        self._owners = hub.registrations.index(lambda one: (namespace_of(one),))
        self.named = self.placements.index(lambda one: (name_of(one),))
        self._works_of = self.works.index(_labelled)
        self._copies_of = self.copies.index(_labelled)
        self._assignments_of = self.assignments.index(_labelled)
        self.reports_of = self.reports.index(
            lambda one: ((one.metadata.namespace, label) for label in _labelled(one))
        )
        self.decisions_of = self.decisions.index(
            lambda one: ((one.metadata.namespace, one.metadata.labels.get(LABEL_PLACEMENT_KEY, "")),)
        )

    @property
    def _all(self) -> tuple[Informer[Any], ...]:
        # Any: of several types.
        return (
            self.placements,
            self.capacities,
            self.links,
            self.assignments,
            self.works,
            self.copies,
            self.namespaces,
            self.priorities,
            self.decisions,
            self.reports,
            self.claims,
            self.interpreters,
        )

    @property
    def rules(self) -> Rules:
        """What the hub's ResourceInterpreters say; the same object while none of them changes."""
        if self._rules is None:
            self._rules = rules_of(self.interpreters.values())
        return self._rules

    def cluster_in(self, namespace: str) -> str:
        """The registered cluster whose namespace it is, "" for none."""
        found = self._owners.get(namespace)
        return found[0].metadata.name if found else ""

    def given_assignments(self, label: str) -> list[Assignment]:
        """Assignments in namespaces of clusters with that label; elsewhere anybody may have written it."""
        return [one for one in self._assignments_of.get(label) if self.cluster_in(one.metadata.namespace)]

    def given_works(self, label: str) -> list[KubernetesObject]:
        """The same of Works."""
        return [one for one in self._works_of.get(label) if self.cluster_in(one.metadata.namespace)]

    def given_copies(self, label: str) -> list[KubernetesObject]:
        """The same of Secrets that travel beside them."""
        return [one for one in self._copies_of.get(label) if self.cluster_in(one.metadata.namespace)]

    def rows(self) -> list[ClusterRows]:
        """All registrations with the rows of their agents."""
        return [self._rows(one) for one in self.hub.registrations.values()]

    def target_rows(self, cluster: str) -> ClusterRows | None:
        """A cluster to which something may be given: one that is in and does not leave."""
        one = self.hub.registrations.get(cluster)
        if one is None or one.metadata.deletion_timestamp is not None or not one.status.namespace:
            return None
        return self._rows(one)

    def _rules_changed(self) -> None:
        self._rules = None

    def _rows(self, one: ClusterRegistration) -> ClusterRows:
        bare = ClusterRows(one)
        return ClusterRows(
            one,
            self.capacities.get(CAPACITY, namespace=bare.namespace),
            self.links.get(LINKS, namespace=bare.namespace),
        )


def _labelled(one: KubernetesObject | Assignment) -> tuple[str, ...]:
    label = one.metadata.labels.get(LABEL_PLACEMENT, "")
    return (label,) if label else ()

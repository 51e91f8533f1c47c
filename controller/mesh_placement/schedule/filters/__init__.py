"""Filters that ask nothing of the network, in the order in which they are told of."""

from mesh_placement.schedule.filters.apis import Apis
from mesh_placement.schedule.filters.capacity import Capacity
from mesh_placement.schedule.filters.membership import Membership
from mesh_placement.schedule.filters.namespaces import Namespaces
from mesh_placement.schedule.filters.properties import Properties
from mesh_placement.schedule.filters.spread import Spread
from mesh_placement.schedule.filters.taints import Taints
from mesh_placement.schedule.filters.volumes import Volumes
from mesh_placement.schedule.filters.workloads import WorkloadAffinity
from mesh_placement.schedule.plugins import Filter

BUILT_IN_FILTERS: tuple[Filter, ...] = (
    Membership(),
    Taints(),
    Properties(),
    Apis(),
    Namespaces(),
    Volumes(),
    WorkloadAffinity(),
    Spread(),
    Capacity(),
)
"""Capacity is the last of them: it is the dearest, and the others tell more of why a cluster is none.

Several may reject a cluster: one that is lost is not ready, and tainted. What drives out counts, whoever
says it.
"""

"""All plug-ins that come with us, in the order in which they are asked."""

from mesh_placement.schedule.dividers import BUILT_IN_DIVIDERS
from mesh_placement.schedule.filters import BUILT_IN_FILTERS
from mesh_placement.schedule.network import NETWORK_FILTERS, NETWORK_SCORES
from mesh_placement.schedule.plugins import Plugins
from mesh_placement.schedule.scores import BUILT_IN_SCORES

BUILT_IN = Plugins(
    filters=BUILT_IN_FILTERS + NETWORK_FILTERS,
    scores=NETWORK_SCORES + BUILT_IN_SCORES,
    dividers=BUILT_IN_DIVIDERS,
)

"""How good a cluster is, by what it is and has; scores of the network are in `network`."""

from mesh_placement.schedule.plugins import Score
from mesh_placement.schedule.scores.balance import Balance
from mesh_placement.schedule.scores.cost import Cost
from mesh_placement.schedule.scores.fragmentation import Fragmentation
from mesh_placement.schedule.scores.spread import Spread
from mesh_placement.schedule.scores.steady import Steady
from mesh_placement.schedule.scores.taint import Taint

BUILT_IN_SCORES: tuple[Score, ...] = (Steady(), Balance(), Fragmentation(), Taint(), Spread(), Cost())

__all__ = ["BUILT_IN_SCORES", "Balance", "Cost", "Fragmentation", "Spread", "Steady", "Taint"]

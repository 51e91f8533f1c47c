"""How replicas are divided among clusters; `Duplicate` needs no divider."""

from mesh_placement.schedule.dividers.in_order import Nearest, Pack
from mesh_placement.schedule.dividers.proportional import Available, Even, Weighted
from mesh_placement.schedule.plugins import Divider

BUILT_IN_DIVIDERS: tuple[Divider, ...] = (Even(), Weighted(), Available(), Pack(), Nearest())

__all__ = ["BUILT_IN_DIVIDERS", "Available", "Even", "Nearest", "Pack", "Weighted"]

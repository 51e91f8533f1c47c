"""Brings what Works and Assignments say into a member: one engine, in the agent (Pull) or in the hub (Push).

`Deliverer` is all that others need; who takes an inventory back without it asks `decide.inventory` for it.
"""

from mesh_placement.deliver.deliverer import Deliverer

__all__ = ["Deliverer"]

"""Placement that knows the network: what is reached from where, how fast, and what would still be."""

from mesh_placement.schedule.network.gateway_headroom import GatewayHeadroom
from mesh_placement.schedule.network.scores import Latency, Reachability, Resilience
from mesh_placement.schedule.network.service_expose import ServiceExpose
from mesh_placement.schedule.network.service_reach import ServiceReach
from mesh_placement.schedule.plugins import Filter, Score

NETWORK_FILTERS: tuple[Filter, ...] = (ServiceReach(), ServiceExpose(), GatewayHeadroom())
NETWORK_SCORES: tuple[Score, ...] = (Latency(), Reachability(), Resilience())

__all__ = ["NETWORK_FILTERS", "NETWORK_SCORES"]

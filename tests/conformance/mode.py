"""How the two clusters of a run reach each other's pods."""

from enum import Enum


class Mode(Enum):
    """`GATEWAY`: equal pod addresses, nothing but gateways between; `FLAT`: one network of all pods."""

    GATEWAY = "gateway"
    FLAT = "flat"

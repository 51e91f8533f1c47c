"""What the failure table found of a cluster, as the hub notes it on the registration."""

from typing import Literal

from msgspec import Struct

Standing = Literal[
    "Ok",
    "ControlPartition",
    "Dead",
    "DataPlaneDown",
    "ApiDown",
    "DependencyLost",
    "Unwitnessed",
    "HubIsolated",
]
"""What lease and peers together say of a cluster (section 5.5 of the plan); `LinkDown` is a fact of links."""


class NotedStanding(Struct, frozen=True, rename="camel", kw_only=True):
    """A verdict and since when (RFC 3339); `Ok` after a trouble, nothing at all before the first one."""

    verdict: Standing = "Ok"
    since: str = ""

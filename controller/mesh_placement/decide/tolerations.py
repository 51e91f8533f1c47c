"""Which taints a Placement bears, and for how long.

Of several tolerations that fit a taint the shortest counts, as Kubernetes counts them for nodes.
"""

from collections.abc import Iterable
from math import inf
from typing import Final

from mesh_placement.names import TAINT_UNREACHABLE
from mesh_placement.objects import Effect
from mesh_placement.objects.placing import Toleration

DEFAULT_TOLERATION: Final = 300
"""Seconds for which a lost cluster is borne, as Kubernetes tolerates its own taint `unreachable`."""
_OURS: Final = "meshctl.dev/"


def fits(toleration: Toleration, *, key: str, effect: Effect, value: str = "") -> bool:
    """Whether it is about this taint; our own taints may be named without `meshctl.dev/`."""
    return (
        (not toleration.key or toleration.key == key or _OURS + toleration.key == key)
        and toleration.effect in ("", effect)
        and toleration.value in (None, value)
    )


def borne_seconds(
    tolerations: Iterable[Toleration], *, key: str, effect: Effect, value: str = ""
) -> float | None:
    """For how long the taint is borne: `inf` for ever, None where nothing is about it."""
    fitting = [one for one in tolerations if fits(one, key=key, effect=effect, value=value)]
    if not fitting:
        return None
    seconds = [one.seconds for one in fitting if one.seconds is not None]
    return max(0, min(seconds)) if effect == "NoExecute" and seconds else inf


def seconds_until_left(tolerations: Iterable[Toleration], *, key: str = TAINT_UNREACHABLE) -> float:
    """How long after the verdict a cluster is left that is Dead (or, by its own key, DataPlaneDown)."""
    found = borne_seconds(tolerations, key=key, effect="NoExecute")
    return DEFAULT_TOLERATION if found is None else found

"""How a gateway that ends gets out of the way (ruling 6): nobody is to be sent to a port that is closed.

1. From the end of readiness it goes on listening for `Limits.farewell` at least.
2. While a slice lists it, it goes on, for `Limits.unlisting` at most: our controller may be down.
3. When the last such slice has gone from its own watch it goes on for `Limits.settle`: a node hears of a
   change when we do, or a little later.
"""

import asyncio
from collections.abc import Callable, Iterable

from mesh_core.objects import EndpointSlice
from mesh_gateway.limits import Limits
from mesh_runtime.log import logger

_log = logger(__name__)

# Seconds between two looks; each goes through all slices, some ms for 10,000 of them.
_EVERY = 0.25


def is_listed(slices: Iterable[EndpointSlice], *, address: str) -> bool:
    """Whether kube-proxy may send anybody to `address`, an IP, by one of these slices.

    It takes those that are ready, and when there are none those that are serving while they end.
    """
    return any(
        address in endpoint.addresses and (endpoint.is_ready or bool(endpoint.conditions.serving))
        for piece in slices
        for endpoint in piece.endpoints or ()
    )


async def unlisted(listed: Callable[[], bool], *, limits: Limits) -> None:
    """Returns when a gateway whose readiness has just ended may close its ports."""
    clock = asyncio.get_running_loop().time
    began = clock()
    was_listed = is_still = listed()
    while True:
        if not is_still or clock() - began >= limits.unlisting:
            break
        await asyncio.sleep(min(_EVERY, limits.unlisting))
        is_still = listed()
    if is_still:
        _log.warning("slices still list this gateway; it ends all the same", waited=limits.unlisting)
    elif was_listed:
        await asyncio.sleep(limits.settle)
    await asyncio.sleep(max(0.0, began + limits.farewell - clock()))

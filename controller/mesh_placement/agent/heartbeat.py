"""The Lease by which the hub sees that this cluster is there.

1. It is renewed every `spec.lease.durationSeconds` of the registration, at once at the start and when they
   are made shorter; nothing else of the agent asks the hub for anything while nothing happens.
2. A hub that does not answer is asked again, soon at first and then once a period.
3. So is a hub that refuses us, or has no Lease for us; whoever is told of that decides what follows.
4. That our own API server is lost is told with a renewal, on its Lease: it costs no request more.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Never

from mesh_core.errors import MeshError
from mesh_core.lifetimes import retry_delay
from mesh_placement.names import ANNOTATION_API_LOST, LEASE
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import LEASES, ApiError, KubeClient, NotTrusted
from mesh_runtime.log import logger

_log = logger(__name__)

REFUSALS = (401, 403, 404)
_HARDLY = 0.001  # seconds that are not waited for


@dataclass(frozen=True, slots=True)
class LeasePlace:
    """In which namespace of the hub it lies, and as whom it is held."""

    namespace: str
    holder: str


class Heartbeat:
    """Renews the Lease in `namespace` of `hub` as `holder`; `period` gives the seconds between two.

    `heard` is told "" after each that was taken, and why after each that was refused; `mistrusted`, when
    somebody answered who is not the hub as we know it. `api_lost_since` is since when the member's own API
    server does not answer, "" while it does; `renewed` is told when a renewal that was taken began.
    """

    def __init__(
        self,
        hub: KubeClient,
        *,
        place: LeasePlace,
        period: Callable[[], int],
        heard: Callable[[str], Awaitable[None]],
        mistrusted: Callable[[NotTrusted], Awaitable[None]] | None = None,
        api_lost_since: Callable[[], str] = str,
        renewed: Callable[[float], None] | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._hub = hub
        self._place = place
        self._period = period
        self._heard = heard
        self._mistrusted = mistrusted
        self._api_lost_since = api_lost_since
        self._renewed = renewed
        self._told = ""  # of it, as the Lease said last
        self._clock = clock
        self._look_again = asyncio.Event()
        self._failures = 0

    def period_changed(self) -> None:
        """Says that `period` may give something else by now."""
        self._look_again.set()

    async def run(self) -> Never:
        """Beat, for ever; raises what `heard` raises."""
        while True:
            began = asyncio.get_running_loop().time()
            wait = await self._beaten()
            await self._rest(began, wait=wait)

    async def _beaten(self) -> float:
        """Beat once; the seconds until the next time."""
        began = asyncio.get_running_loop().time()
        lost_since = self._api_lost_since()
        notes = {"annotations": {ANNOTATION_API_LOST: lost_since or None}}
        body = {
            **({"metadata": notes} if lost_since != self._told else {}),
            "spec": {
                "holderIdentity": self._place.holder,
                "leaseDurationSeconds": self._period(),
                "renewTime": self._clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            },
        }
        try:
            lease = await self._hub.merge_patch(LEASES, LEASE, body, namespace=self._place.namespace)
        except MeshError as error:
            wait = retry_delay(self._failures, jitter=random.random())
            self._failures += 1
            if isinstance(error, ApiError) and error.status in REFUSALS:
                _log.warning("the hub refuses us", why=error.message, again_in=round(wait, 1))
                await self._heard(f"{error.reason}: {error.message}")
                return wait
            wait = min(wait, float(self._period()))
            why = str(error) if isinstance(error, NotTrusted) else error.what
            _log.warning("the hub did not hear us", why=why, again_in=round(wait, 1))
            if isinstance(error, NotTrusted) and self._mistrusted is not None:
                await self._mistrusted(error)
            return wait
        self._failures = 0
        if self._renewed is not None:
            self._renewed(began)
        self._told = lease.metadata.annotations.get(ANNOTATION_API_LOST, "")
        await self._heard("")
        return float(self._period())

    async def _rest(self, began: float, *, wait: float) -> None:
        """Until `wait` seconds after `began`; less when the period is shorter by then."""
        now = asyncio.get_running_loop().time
        while (left := began + wait - now()) > _HARDLY:
            self._look_again.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._look_again.wait()
            if not self._failures:
                wait = float(self._period())

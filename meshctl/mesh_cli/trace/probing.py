"""Has this cluster's gateways try a Service of its exporters, by the way that traffic takes (decision
0035)."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from mesh_cli.session import FIELD_MANAGER
from mesh_core.conditions import rfc3339
from mesh_core.names import LABEL_MANAGED_BY, SYSTEM_NAMESPACE
from mesh_core.objects import ProbeResult
from mesh_core.service_probe import is_over
from mesh_runtime.clock import Clock
from mesh_runtime.kube import SERVICE_PROBES, KubeClient

_LABEL: Final = f"{LABEL_MANAGED_BY}={FIELD_MANAGER}"
_LIFE: Final = timedelta(seconds=60)
"""The clocks of who asks and of gateways may differ; nobody tries longer than this."""
_LIMIT: Final = 11.0
"""Seconds: a gateway's try takes nine at most."""
_PAUSE: Final = 0.1


async def tried(
    client: KubeClient, service: str, *, exporters: Sequence[str], gateways: int, clock: Clock
) -> Mapping[str, tuple[ProbeResult, ...]]:
    """What each gateway found of each exporter, by its id; of so many gateways, or of those that said
    something in time. Nothing where no gateway could try."""
    if not exporters or not gateways:
        return {}
    names = {exporter: f"trace-{uuid.uuid4().hex[:12]}" for exporter in exporters}
    try:
        for exporter, name in names.items():
            await client.create(
                SERVICE_PROBES,
                {
                    "metadata": {
                        "name": name,
                        "namespace": SYSTEM_NAMESPACE,
                        "labels": {LABEL_MANAGED_BY: FIELD_MANAGER},
                    },
                    "spec": {
                        "service": service,
                        "cluster": exporter,
                        "until": rfc3339(clock() + _LIFE),
                    },
                },
                field_manager=FIELD_MANAGER,
            )
        return await _results(client, names, gateways=gateways)
    finally:
        # Also when this is cancelled: what is left over would be tried for a minute.
        await asyncio.shield(_sweep(client, names=set(names.values()), clock=clock))


async def _results(
    client: KubeClient, names: Mapping[str, str], *, gateways: int
) -> Mapping[str, tuple[ProbeResult, ...]]:
    found: dict[str, tuple[ProbeResult, ...]] = {}
    try:
        async with asyncio.timeout(_LIMIT):
            while True:
                page = await client.list(SERVICE_PROBES, namespace=SYSTEM_NAMESPACE, labels=_LABEL)
                seen = {one.metadata.name: one.status.results for one in page.items}
                found = {exporter: seen.get(name, ()) for exporter, name in names.items()}
                if all(len(results) >= gateways for results in found.values()):
                    return found
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        return found


async def _sweep(client: KubeClient, *, names: set[str], clock: Clock) -> None:
    """Ours, and what a trace left that was killed."""
    page = await client.list(SERVICE_PROBES, namespace=SYSTEM_NAMESPACE, labels=_LABEL)
    for one in page.items:
        if one.metadata.name in names or is_over(one, now=clock()):
            await client.delete(SERVICE_PROBES, one.metadata.name, namespace=SYSTEM_NAMESPACE)

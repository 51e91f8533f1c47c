"""Makes cluster DNS send `clusterset.local` to ours, by the ConfigMap that CoreDNS reads.

The text is edited by `corefile`; here it is read and written back, only if nobody else wrote meanwhile.
"""

from dataclasses import dataclass
from enum import Enum

from mesh_cli.corefile import reloads, with_stub, without_stub
from mesh_core.errors import EnvironmentFault
from mesh_core.names import DNS, SYSTEM_NAMESPACE
from mesh_core.objects import ConfigMap
from mesh_runtime.kube import CONFIG_MAPS, SERVICES, ApiError, KubeClient

NAMESPACE = "kube-system"
CONFIG_MAP = "coredns"
KEY = "Corefile"

_ATTEMPTS = 5


class StubState(Enum):
    """How the stub came to be, or did not."""

    ADDED = "added"
    KEPT = "kept"
    NO_COREDNS = "no CoreDNS"


class CorefileBusy(EnvironmentFault):
    """Somebody writes the ConfigMap faster than we can."""

    def __init__(self) -> None:
        super().__init__(
            f"ConfigMap {NAMESPACE}/{CONFIG_MAP} changes all the time",
            next_step="find out who writes it, then run the same command again",
        )


@dataclass(frozen=True, slots=True)
class Stub:
    """The stub; `address` is the clusterset DNS server's, `reloads` whether CoreDNS takes changes up."""

    state: StubState
    address: str
    reloads: bool = True


async def add_stub(client: KubeClient) -> Stub:
    """Add or correct the stub. Raises corefile.ZoneTaken, CorefileBusy."""
    address = (await client.get(SERVICES, DNS, namespace=SYSTEM_NAMESPACE)).spec.cluster_ip
    for _ in range(_ATTEMPTS):
        found = await client.find(CONFIG_MAPS, CONFIG_MAP, namespace=NAMESPACE)
        if found is None or KEY not in found.data:
            return Stub(state=StubState.NO_COREDNS, address=address)
        text = found.data[KEY]
        wanted = with_stub(text, address=address)
        if wanted == text:
            return Stub(state=StubState.KEPT, address=address, reloads=reloads(text))
        if await _written(client, found, text=wanted):
            return Stub(state=StubState.ADDED, address=address, reloads=reloads(text))
    raise CorefileBusy


async def has_stub(client: KubeClient) -> bool:
    """Whether the stub is there."""
    found = await client.find(CONFIG_MAPS, CONFIG_MAP, namespace=NAMESPACE)
    return found is not None and without_stub(found.data.get(KEY, "")) != found.data.get(KEY, "")


async def remove_stub(client: KubeClient) -> bool:
    """Take our lines out and leave every other byte; False when there were none. Raises CorefileBusy."""
    for _ in range(_ATTEMPTS):
        found = await client.find(CONFIG_MAPS, CONFIG_MAP, namespace=NAMESPACE)
        if found is None or KEY not in found.data:
            return False
        wanted = without_stub(found.data[KEY])
        if wanted == found.data[KEY]:
            return False
        if await _written(client, found, text=wanted):
            return True
    raise CorefileBusy


async def _written(client: KubeClient, found: ConfigMap, *, text: str) -> bool:
    body = {"metadata": {"resourceVersion": found.metadata.resource_version}, "data": {KEY: text}}
    try:
        await client.merge_patch(CONFIG_MAPS, CONFIG_MAP, body, namespace=NAMESPACE)
    except ApiError as error:
        if error.is_conflict:
            return False
        raise
    return True

"""Calls a Service of the clusterset as a pod of this member would: by its name, through its DNS, over TCP.

1. No byte is sent. A gateway takes every connection before it asks the other side, and resets what it cannot
   serve (docs/callers.md). So a call has reached its Service when something comes, when the other end closes
   in good order, or when nothing happened for `WATCHED` seconds: dialling three dead endpoints takes nine.
2. A name that is denied, though the import is there and the zone is served, is a failure: programs would
   fail. So is an import that is missing. Without mesh, zone, or a DNS that answers nobody can tell.
3. A reset proves nothing where the export is for certain callers: nobody but those can try.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from mesh_core.names import SYSTEM_NAMESPACE, imported_record_name
from mesh_core.objects import ServiceImport
from mesh_placement.agent.kinds import MemberKinds
from mesh_placement.decide.traffic_trial import Attempt
from mesh_runtime.kube import IMPORTED_RECORDS, SERVICE_IMPORTS, ApiError, KubeClient

ZONE: Final = "clusterset.local"
ANSWERED: Final = 10.0
CONNECTED: Final = 5.0
WATCHED: Final = 10.0
"""Seconds: for DNS, for connecting, and in which a refusal would come."""
_MOST_ADDRESSES: Final = 2
_MOST_LOOKUPS: Final = 8
"""Threads: one that asks a silent DNS server lives on for as long as the system asks."""
_NAME_SERVER: Final = f"ns.dns.{ZONE}"


Found = Sequence[tuple[int, int, int, str, tuple[Any, ...]]]
"""As `socket.getaddrinfo` gives it; what an address is depends on its family, hence Any."""
Lookup = Callable[[str], Found]


def _asked(name: str) -> Found:
    return socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)


class Denied(Exception):
    """The name does not exist."""


class Silent(Exception):
    """No DNS server said anything of use."""


class Network(Protocol):
    """How the member's pods reach others."""

    async def resolve(self, name: str) -> Sequence[str]:
        """Addresses of the name; raises Denied, Silent."""

    async def call(self, address: str, port: int) -> str:
        """What went wrong with one call, "" for nothing."""


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """As the pod of this program has it. `lookup` asks the system, in a thread; `watched` as WATCHED.

    The threads are its own: nobody else's work waits behind a DNS server that is silent.
    """

    lookup: Lookup = _asked
    watched: float = WATCHED
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_MOST_LOOKUPS, "lookup"), init=False, repr=False
    )

    async def resolve(self, name: str) -> Sequence[str]:
        """Raises Denied, Silent."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ANSWERED):
                # With the dot no search list is tried.
                found = await loop.run_in_executor(self._threads, self.lookup, f"{name}.")
        except TimeoutError:
            raise Silent from None
        except socket.gaierror as error:
            if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
                raise Denied from error
            raise Silent from error
        return list(dict.fromkeys(str(one[4][0]) for one in found))

    async def call(self, address: str, port: int) -> str:
        """Connect, and see whether it is taken back."""
        try:
            async with asyncio.timeout(CONNECTED):
                reader, writer = await asyncio.open_connection(address, port)
        except TimeoutError:
            return f"no connection within {CONNECTED:.0f} s"
        except OSError as error:
            return f"no connection: {_words(error)}"
        try:
            async with asyncio.timeout(self.watched):
                await reader.read(1)
        except TimeoutError:
            return ""
        except OSError as error:
            return f"the connection was taken and then lost: {_words(error)}"
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
        return ""


class Caller:
    """Tries calls from the member."""

    def __init__(self, member: KubeClient, *, kinds: MemberKinds, cluster: str, network: Network) -> None:
        self._member = member
        self._kinds = kinds
        self._cluster = cluster
        self._network = network

    async def attempt(self, service: str) -> Attempt:
        """One call of "namespace/name".

        Raises ApiError, Unreachable, BadAnswer of the member's API server.
        """
        namespace, _, name = service.partition("/")
        if not self._kinds.has(SERVICE_IMPORTS):
            return Attempt(service, "Untried", "this cluster has no ServiceImports")
        try:
            found = await self._member.find(SERVICE_IMPORTS, name, namespace=namespace)
        except ApiError as error:
            if error.status != 403:
                raise
            return Attempt(service, "Untried", "the agent's role is older: register the cluster again")
        if found is None:
            return Attempt(service, "Failed", "there is no ServiceImport of it here")
        port = next((one.port for one in found.spec.ports if one.protocol == "TCP"), None)
        if port is None:
            return Attempt(service, "Untried", "it has no TCP port")
        try:
            addresses = await self._network.resolve(f"{name}.{namespace}.svc.{ZONE}")
        except Silent:
            return Attempt(service, "Untried", "the cluster's DNS does not answer")
        except Denied:
            return await self._denied(service)
        return await self._called(service, found, addresses=addresses, port=port)

    async def _denied(self, service: str) -> Attempt:
        try:
            await self._network.resolve(_NAME_SERVER)
        except (Denied, Silent):
            return Attempt(service, "Untried", f"the cluster's DNS does not serve {ZONE}")
        return Attempt(service, "Failed", "the cluster's DNS denies its name; see meshctl dns query")

    async def _called(
        self, service: str, found: ServiceImport, *, addresses: Sequence[str], port: int
    ) -> Attempt:
        wrong = "its name has no address"
        for address in addresses[:_MOST_ADDRESSES]:
            wrong = await self._network.call(address, port)
            if not wrong:
                return Attempt(service, "Reached")
        if await self._is_for_some(service, found):
            return Attempt(service, "Untried", "its export is for certain callers alone (meshctl.dev/allow)")
        return Attempt(service, "Failed", wrong)

    async def _is_for_some(self, service: str, found: ServiceImport) -> bool:
        """Whether an exporter admits some callers of this cluster and not others."""
        if not self._kinds.has(IMPORTED_RECORDS):
            return False
        namespace, _, name = service.partition("/")
        for one in found.status.clusters:
            record = await self._member.find(
                IMPORTED_RECORDS,
                imported_record_name(cluster=one.cluster, namespace=namespace, service=name),
                namespace=SYSTEM_NAMESPACE,
            )
            if record is not None and not record.spec.allows_whole(self._cluster):
                return True
        return False


def _words(error: OSError) -> str:
    with suppress(KeyError):
        return {errno.ECONNRESET: "reset", errno.ECONNREFUSED: "refused"}[error.errno or 0]
    return (error.strerror or type(error).__name__).lower()

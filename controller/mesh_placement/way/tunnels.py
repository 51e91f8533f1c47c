"""What the hub's programs show to their own gateways, and the tunnels that they get by it.

A hub that is no member of a clusterset has no gateways and no tunnel: its members are dialled, or not
reached.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from mesh_core.errors import MeshError
from mesh_core.identity import Component
from mesh_core.names import TRUST_BUNDLE
from mesh_core.objects import PeerGateway
from mesh_placement.way.tunnel import INNER_DOOR, NoTunnel, connect_by_tunnel
from mesh_runtime.kube import TRUST_BUNDLES, KubeClient
from mesh_runtime.leaf import LeafSource, Standing
from mesh_runtime.leaf_request import RequestedLeaf
from mesh_runtime.log import logger
from mesh_runtime.membership import MembershipSource

_log = logger(__name__)
# Seconds between two looks of a hub that is in no mesh, and has members that only a mesh leads to.
_MESH_LOOK: Final = 30.0

P = TypeVar("P", bound=asyncio.Protocol)


class StandingReader(Protocol):
    """Where the standing is read (`mesh_runtime.leaf.LeafSource`)."""

    @property
    def current(self) -> Standing | None:
        """What may be shown now."""


class Tunnels:
    """Connections to API servers by tunnels; `leaf` gives what is shown at `door`."""

    def __init__(self, leaf: StandingReader, *, door: PeerGateway = INNER_DOOR) -> None:
        self._leaf = leaf
        self._door = door

    async def __call__(
        self, factory: Callable[[], P], *, cluster: str, inner: ssl.SSLContext, server_name: str
    ) -> tuple[asyncio.Transport, P]:
        """As `connect_by_tunnel`, and raises what that raises; NoTunnel too while there is no certificate."""
        standing = self._leaf.current
        if standing is None:
            raise NoTunnel(cluster, why="this hub has no certificate of a clusterset yet")
        return await connect_by_tunnel(
            factory,
            door=self._door,
            cluster=cluster,
            standing=standing,
            inner=inner,
            server_name=server_name,
        )


class AccessLeaf:
    """The certificate of component `access`, which the controller signs for the ServiceAccounts
    `placement-access` and `placement-hub`.

    Run it in a task group. Reads ClusterProperty, TrustBundle and MeshPeers, makes certificate requests.
    """

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._membership = MembershipSource(kube)
        self._source = LeafSource(
            RequestedLeaf(kube), component=Component.ACCESS, membership=self._membership
        )

    @property
    def current(self) -> Standing | None:
        """What may be shown now; None while this cluster is no member, or nobody has signed."""
        return self._source.current

    async def run(self, *needed: asyncio.Event) -> None:
        """Obtain and renew, for ever; not before all of `needed` are set, and this cluster is in a mesh."""
        for one in needed:
            await one.wait()
        await self._until_in_a_mesh()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._membership.run())
            group.create_task(self._source.run())

    async def _until_in_a_mesh(self) -> None:
        """Asked, not watched: where the mesh is not installed its kinds are not served either."""
        while True:
            try:
                if await self._kube.find(TRUST_BUNDLES, TRUST_BUNDLE) is not None:
                    return
            except MeshError as error:
                _log.warning("whether this hub is in a mesh is not known", why=error.what)
            await asyncio.sleep(_MESH_LOOK)

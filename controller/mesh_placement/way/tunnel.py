"""A connection to the API server of a member that cannot be dialled, by the tunnel that the member dialled.

It goes through the inner door of the hub's own gateways, which let in nobody but component `access`, and out
of the member's, which lead there only if its MeshPeer for the hub says `access: [kube-apiserver]`
(docs/wire.md). TLS with the API server itself goes on inside: no gateway sees a request or a token.

The door is a Service in front of several gateways. One that has just started may have no tunnel to the member
yet, and closes; nothing was sent then, so another connection is tried, at most `_TRIES` times.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

from mesh_core.errors import EnvironmentFault, Fault, MeshError
from mesh_core.names import GATEWAY_INNER, INNER_PORT, RESERVED_API_SERVER, SYSTEM_NAMESPACE
from mesh_core.objects import PeerGateway
from mesh_runtime.leaf import Standing
from mesh_runtime.through_door import Beyond, connect_through_door

INNER_DOOR: Final = PeerGateway(host=f"{GATEWAY_INNER}.{SYSTEM_NAMESPACE}.svc", port=INNER_PORT)
"""The door as a pod of the hub finds it by name."""
_TRIES: Final = 3

P = TypeVar("P", bound=asyncio.Protocol)


class NoTunnel(EnvironmentFault, ConnectionError):
    """The member's API server is not reached by a tunnel now.

    A ConnectionError as well, so that an HTTP client takes it for one connection that could not be made.
    """

    def __init__(self, cluster: str, *, why: str) -> None:
        MeshError.__init__(
            self,
            f"no tunnel leads to the API server of {cluster} ({why})",
            next_step=f"see with meshctl status whether a tunnel of {cluster} is up, and let its MeshPeer "
            f"for this cluster have spec.access: [{RESERVED_API_SERVER}] (meshctl link --allow-api-server)",
        )


class NotItsApiServer(MeshError, ConnectionError):
    """Whoever answers at the end of the tunnel is not the API server that the member's agent told of."""

    fault = Fault.PEER

    def __init__(self, cluster: str, *, why: str) -> None:
        MeshError.__init__(
            self,
            f"the API server at the end of the tunnel to {cluster} is not believed ({why})",
            next_step="compare ca.crt in its Secret access with the CA of its API server",
        )


async def connect_by_tunnel(
    protocol_factory: Callable[[], P],
    *,
    door: PeerGateway = INNER_DOOR,
    cluster: str,
    standing: Standing,
    inner: ssl.SSLContext,
    server_name: str,
) -> tuple[asyncio.Transport, P]:
    """A connection to the API server of `cluster`, as `loop.create_connection` would give it.

    `standing` is that of a leaf of component `access` of this cluster; `inner` demands the certificate of the
    member's API server, under `server_name`. Raises NoTunnel, NotItsApiServer, PeerRefused and
    PeerProtocolError (somebody else than our own gateway at the door), UnusableCredentials.
    """
    beyond = Beyond(RESERVED_API_SERVER, cluster, tls=inner, server_name=server_name)
    for tries_left in reversed(range(_TRIES)):
        try:
            return await connect_through_door(protocol_factory, door=door, standing=standing, beyond=beyond)
        except ssl.SSLCertVerificationError as error:
            raise NotItsApiServer(cluster, why=error.verify_message) from error
        except TimeoutError as error:
            raise NoTunnel(cluster, why="no answer in time") from error
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError) as error:
            if not tries_left:
                raise NoTunnel(cluster, why="closed before the API server answered") from error
        except (OSError, UnicodeError) as error:
            raise NoTunnel(cluster, why=str(error)) from error
    raise AssertionError("the last try raises")

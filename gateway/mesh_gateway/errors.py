"""What can go wrong on a packet's way.

MeshError
  GatewayError
    HandshakeFailed   the other side did not prove what it must, or spoke no TLS 1.3
    NoStream          a cluster gives no stream; nothing was sent to it
      ClusterSilent   none of its gateways answered
      StreamRefused   one answered, and refused or could not prove who it is
"""

from mesh_core.errors import Fault, MeshError


class GatewayError(MeshError):
    """Something on the way of a stream failed."""


class HandshakeFailed(GatewayError):
    """A TLS handshake did not end well; no byte of a client was sent. `closed`: the other side only closed
    the connection, which is how it refuses what it does not have."""

    fault = Fault.PEER

    def __init__(self, why: str, *, closed: bool = False) -> None:
        super().__init__(
            f"the TLS handshake failed ({why})",
            next_step="compare the roots and the clocks of both clusters",
        )
        self.why = why
        self.closed = closed


class NoStream(GatewayError):
    """A cluster gives no stream. No byte of a client was sent to it, so another may be asked."""

    fault = Fault.PEER

    def __init__(self, what: str, *, cluster: str, next_step: str) -> None:
        super().__init__(what, next_step=next_step)
        self.cluster = cluster


class ClusterSilent(NoStream):
    """None of its gateways answered."""

    def __init__(self, *, cluster: str, why: str) -> None:
        super().__init__(
            f"no gateway of cluster {cluster} answers ({why})",
            cluster=cluster,
            next_step=f"check spec.gateways of MeshPeer {cluster}, and that its gateway runs",
        )


class StreamRefused(NoStream):
    """A gateway of it answered, and would not do, or would not have it. `trusted`: not for who it is, or who
    we are, as far as that was seen."""

    def __init__(self, *, cluster: str, why: str, trusted: bool = True) -> None:
        super().__init__(
            f"cluster {cluster} takes no stream ({why})",
            cluster=cluster,
            next_step="check that it exports the service, and the trust of both clusters",
        )
        self.trusted = trusted


class NoEndpoint(GatewayError):
    """No local endpoint takes a connection; nothing was delivered."""

    fault = Fault.ENVIRONMENT

    def __init__(self, why: str) -> None:
        super().__init__(
            f"no local endpoint takes the connection ({why})",
            next_step="check the pods behind the service",
        )

"""How much a gateway takes on, and how long it waits. Idle connections have no limit in time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Times are seconds. The defaults suit a pod with 40,000 file descriptors and 512 MiB."""

    connections: int = 8192
    """Streams carried at a time, each with two sockets; those that are being opened count."""

    handshakes: int = 1024
    """Connections on the peers' port that have not proved yet who they are."""

    stalled: int = 256
    """Streams whose reader does not keep up; with at most 512 KiB each way they take 256 MiB at worst."""

    openings: int = 512
    """Streams to other clusters that are being opened at a time; further ones wait their turn. A handshake
    costs 1 to 2 ms of the loop, so that with more of them the limits below would measure ourselves."""

    passed_through: int = 256
    """Connections to our controller, whose callers only the controller can tell apart; a few for each
    peer are enough, and the rest of the gateway does not starve when it is they who are many."""

    hello: float = 5.0
    """From the start of a connection to the end of its ClientHello."""

    handshake: float = 10.0
    """From the ClientHello to the end of the handshake, on either side."""

    connect: float = 3.0
    """For one TCP connection, to a peer's gateway or a local endpoint."""

    endpoints: int = 3
    """Local endpoints that are tried for one stream, when they do not take the connection."""

    farewell: float = 3.0
    """Between the end of readiness and the end of listening: kube-proxy needs a moment to notice."""

    drain: float = 20.0
    """How long connections may go on after SIGTERM; below the pod's grace period of 30 s."""

    backlog: int = 4096
    """Connections that the kernel keeps until we accept them, for each port."""

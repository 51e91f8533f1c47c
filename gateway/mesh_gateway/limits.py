"""How much a gateway takes on, and how long it waits. Idle connections have no limit in time.

Each field is a setting of the program (`settings`), whose help is the text below it. With workers each of
them has these limits for itself.
"""

from dataclasses import dataclass

LEAST_EARLY = 16 * 1024
"""Bytes of a client that are sent before the answer, at least."""

WINDOW = 256 * 1024
"""Bytes that may be sent on a new stream of a tunnel before they are asked for; yamux fixes it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times are seconds. The defaults suit a pod with 40,000 file descriptors and 512 MiB."""

    connections: int = 8192
    """Streams carried at a time, each with two sockets; those that are being opened count. Neither those
    that local pods open nor those from outside may take more than 7/8 of them."""

    streams_per_source: int = 1792
    """Streams to other clusters of one source address of this cluster, UDP flows included: a quarter of what
    local pods may have. What is masqueraded has the address of its node."""

    handshakes: int = 1024
    """Connections on the peers' port that have not proved yet who they are."""

    stalled_bytes: int = 128 * 1024 * 1024
    """Bytes that streams may keep whose readers do not keep up: 512 KiB each, beside windows that grew."""

    unsent_bytes: int = 192 * 1024 * 1024
    """Bytes that may wait in this process for whoever takes them, looked at each second."""

    openings: int = 512
    """Streams to other clusters that are being opened at a time; further ones wait their turn. A handshake
    costs 1 to 2 ms of the loop, so that with more of them the limits below would measure ourselves."""

    passed_through: int = 256
    """Connections to our controller past our TLS, whose callers only the controller can tell apart, and as
    many again by tunnels; beside `connections`, so that neither starves the other."""

    reserved_per_peer: int = 16
    """Of those by tunnels the ones of one peer."""

    public: int = 4096
    """Connections to public names, of whoever comes: the rest of `connections` is for those who show who
    they are."""

    public_per_service: int = 1024
    """Of these the ones to one service's endpoints, so that one name cannot close all others."""

    inner: int = 256
    """Connections of our controller on the inner port, where programs of our own cluster ask for reserved
    targets; as many that have not proved who they are."""

    inner_access: int = 2048
    """Connections of the access proxy there, to the API servers of all clusters, beside those."""

    api_server: int = 1024
    """Connections to our own API server, by tunnels of peers to whom their MeshPeer grants it; beside
    `connections`."""

    api_server_per_peer: int = 512
    """Of those the ones of one peer."""

    tunnels_per_peer: int = 4
    """Tunnels that we keep to a peer, and beside them one to each of its gateways that has none."""

    tunnels_from_peer: int = 128
    """Tunnels that one peer may have to us: four for each of its gateways and workers. Those that were left
    are not among them; there may be as many again."""

    streams_per_tunnel: int = 8192
    """Streams that the other end of a tunnel may have open in it; further ones are refused."""

    streams_per_peer: int = 6144
    """Streams of one peer in all its tunnels; below `connections`, so that one leaves room for others."""

    largest_window: int = 4 * 1024 * 1024
    """Bytes to which the window of a stream grows whose reader keeps up; at least 256 KiB."""

    window_growth: int = 64 * 1024 * 1024
    """Bytes by which all windows together may grow: what slow readers may leave unread beyond `stalled`."""

    window_growth_per_peer: int = 32 * 1024 * 1024
    """The same for all tunnels of one peer."""

    tunnel_buffer: int = 1024 * 1024
    """Bytes that wait for one tunnel to take them, before all who write into it are held."""

    tunnel_life: float = 6 * 3600.0
    """After so long a tunnel that we dialled is replaced, so that certificates are looked at again; one that
    a peer dialled, and has not replaced a quarter later, takes no more streams."""

    tunnel_drain: float = 7 * 86400.0
    """How long the streams of a tunnel may go on that takes no more of them."""

    early_data: int = 64 * 1024
    """Bytes of a client that are sent before the answer, and kept until then."""

    early_total: int = 32 * 1024 * 1024
    """Bytes that may be kept so for all clients; beyond it a new client is read only after its answer."""

    early_from_peer: int = 16 * 1024 * 1024
    """Bytes of one peer's streams, in all its tunnels, that came before they were accepted."""

    early_from_peers: int = 48 * 1024 * 1024
    """The same for all peers."""

    udp_flows: int = 2048
    """UDP flows of each half, so that both together take half of `connections`; beyond it whoever has most
    flows loses the one that has been idle longest."""

    udp_flows_each: int = 1024
    """Those of one source address of this cluster, or of one peer."""

    udp_waiting: int = 16 * 1024 * 1024
    """Bytes of datagrams that wait for their streams, of all flows of a half; one has 64 KiB at most."""

    udp_idle: float = 60.0
    """How long a UDP flow may be idle."""

    udp_unanswered: float = 30.0
    """The same as long as nothing was answered."""

    hello: float = 5.0
    """From the start of a connection to the end of its ClientHello."""

    handshake: float = 10.0
    """From the ClientHello to the end of the handshake, on either side."""

    connect: float = 3.0
    """For one TCP connection, to a peer's gateway or a local endpoint."""

    endpoints: int = 3
    """Local endpoints that are tried for one stream, when they do not take the connection."""

    ping_every: float = 1.0
    """Between two pings in a tunnel."""

    dead_after: float = 3.0
    """Without a byte from the other end, while a ping is out, until a tunnel counts as dead; time in which
    this process itself stood still is not counted."""

    hold: float = 1.5
    """How long a connection to a port without a route is held for one to come (ruling 6)."""

    farewell: float = 3.0
    """Between the end of readiness and the end of listening, at least: kube-proxy has to notice."""

    unlisting: float = 10.0
    """How long a gateway that ends waits at most until no slice lists it (ruling 6)."""

    settle: float = 5.0
    """How long it goes on after that: the nodes hear of it when we do, on a busy machine seconds later."""

    drain: float = 25.0
    """How long connections may go on after that; `unlisting`, `settle` and `drain` together are below the
    pod's grace period of 50 s."""

    backlog: int = 4096
    """Connections that the kernel keeps until we accept them, for each port."""


def contradiction(limits: Limits) -> str:
    """Why these limits cannot hold together, as a sentence; "" when they can."""
    if limits.largest_window < WINDOW:
        return f"largest_window holds one window at least, {WINDOW} bytes"
    if limits.window_growth_per_peer > limits.window_growth:
        return "window_growth_per_peer is at most window_growth"
    if limits.early_data > WINDOW:
        return f"early_data is at most one window, {WINDOW} bytes"
    if limits.early_data < LEAST_EARLY:
        return f"early_data is at least {LEAST_EARLY} bytes"
    if limits.dead_after <= limits.ping_every:
        return "dead_after is longer than ping_every"
    return ""

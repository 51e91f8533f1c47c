"""The sockets of the DNS server: one port, UDP and TCP, both address families.

1. When the block ends, the port is free of us and no connection is left.
2. Nothing here decides what is answered; `table` may change at any time.
3. Several processes may share a port if all of them ask for that: the kernel deals out flows and connections.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from mesh_dns.counts import Counts
from mesh_dns.guard import Guard
from mesh_dns.table import Table
from mesh_dns.tcp import Connections
from mesh_dns.udp import UdpEndpoint
from mesh_runtime.binding import PortTaken, binding

# Bytes; the kernel grants at most net.core.rmem_max, and rounds down by itself.
_RECEIVE_BUFFER = 4 << 20
_BACKLOG = 128
# Bytes a connection and direction, which the kernel doubles for its own needs.
_CONNECTION_BUFFER = 32 * 1024


@dataclass(frozen=True, slots=True)
class DnsServer:
    """A server that answers on `port`: the one asked for, or the kernel's choice for 0."""

    port: int
    connections: Connections


@asynccontextmanager
async def dns_server(
    port: int,
    *,
    table: Table,
    counts: Counts | None = None,
    guard: Guard | None = None,
    reuse_port: bool = False,
) -> AsyncIterator[DnsServer]:
    """Answers from `table` on `port` of all addresses while the block runs; `counts` is for who shows them.

    `guard` knows who asks; without one nobody is limited, has a cookie, or is told of the server itself.
    With `reuse_port` other processes of this user may listen there too. Raises PortTaken.
    """
    loop = asyncio.get_running_loop()
    counts = counts or Counts()
    with closing(_tcp_socket(port, reuse_port=reuse_port)) as listener:
        port = listener.getsockname()[1]
        with closing(_udp_socket(port, reuse_port=reuse_port)) as datagrams:
            connections = Connections(table=table, counts=counts, guard=guard)
            server = await loop.create_server(connections.protocol, sock=listener, backlog=_BACKLOG)
            endpoint = UdpEndpoint(datagrams, table=table, counts=counts, guard=guard, now=loop.time)
            loop.add_reader(datagrams, endpoint.on_readable)
            try:
                yield DnsServer(port=port, connections=connections)
            finally:
                loop.remove_reader(datagrams)
                server.close()
                connections.abort()
                await server.wait_closed()


def _tcp_socket(port: int, *, reuse_port: bool) -> socket.socket:
    with binding(port):
        if socket.has_dualstack_ipv6():
            listener = socket.create_server(
                ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, reuse_port=reuse_port
            )
        else:
            listener = socket.create_server(("0.0.0.0", port), reuse_port=reuse_port)
    # What is accepted inherits these, so that an asker who does not read costs the pod little memory.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CONNECTION_BUFFER)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _CONNECTION_BUFFER)
    return listener


def _udp_socket(port: int, *, reuse_port: bool) -> socket.socket:
    dual = socket.has_dualstack_ipv6()
    sock = socket.socket(socket.AF_INET6 if dual else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if dual:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.setblocking(False)
        with binding(port):
            sock.bind(("::" if dual else "0.0.0.0", port))
    except PortTaken:
        sock.close()
        raise
    return sock

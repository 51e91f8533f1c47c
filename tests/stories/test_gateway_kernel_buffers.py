"""What the kernel keeps for readers that do not read has a bound too."""

import asyncio
import socket

from mesh_fakes.gateways import LOOPBACK, on_both_loops
from mesh_gateway.tcp_stream import TcpStream

SAID = 8 * 1024 * 1024
PIECE = 64 * 1024


@on_both_loops
async def test_an_endpoint_that_does_not_read_has_little_of_it_in_the_kernel() -> None:
    """The kernel took four megabytes each; ten thousand put all TCP of the machine under memory pressure."""
    with socket.create_server((LOOPBACK, 0)) as server:
        # The other end's buffer is not ours to bound: it is made small, so that ours is what counts.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        _, stream = await asyncio.get_running_loop().create_connection(TcpStream, *server.getsockname())
        there, _ = server.accept()
        with there:
            for _ in range(SAID // PIECE):
                stream.write(bytes(PIECE))
                await asyncio.sleep(0)  # uvloop writes at the end of a turn
            assert stream.unsent > SAID - 1024 * 1024
            stream.abort()

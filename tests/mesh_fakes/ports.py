"""Ports of loopback that nobody listens on."""

import secrets
import socket
from itertools import count

_LOOPBACK = "127.0.0.1"
# Below those that the kernel gives to connections: else one may take it before who asked for it listens.
_FIRST, _NUMBER = 12_000, 3_000
_NEXT = count(secrets.randbelow(_NUMBER))


def free_port() -> int:
    """A port on loopback that nobody listens on now; each another one, and hardly that of another process."""
    while True:
        port = _FIRST + next(_NEXT) % _NUMBER
        try:
            with socket.create_server((_LOOPBACK, port)):
                return port
        except OSError:
            continue

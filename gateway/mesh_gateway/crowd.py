"""Turning away a crowd: connections that wait to be accepted when there is no place for them.

Accepting one by the loop costs as much as serving it in part, and the loop takes one each turn: under three
times the load it did little else, the kernel's queue stayed full, and whoever was not let into it tried again
after 1 and 3 s. So when one was refused for want of a place, those behind it are reset here, at the price of
three system calls each; a refusal comes in milliseconds again.
"""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mesh_gateway.tcp_stream import no_linger

_AT_ONCE = 128
"""Of so many the loop is kept at a time: about a millisecond."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What became of those who waited: so many were reset, and for this one there was a place after all."""

    reset: int = 0
    welcome: socket.socket | None = None


def turn_away(listeners: Sequence[int], *, is_full: Callable[[str], bool]) -> Crowd:
    """Resets who waits at these listening descriptors, until nobody does or there is a place for one.

    `is_full` is asked with each one's source address. Whoever is `welcome` is the caller's to serve or close.
    """
    count = 0
    for descriptor in listeners:
        # A duplicate: closing it leaves the listener alone.
        with socket.socket(fileno=os.dup(descriptor)) as listener:
            listener.setblocking(False)
            while count < _AT_ONCE:
                try:
                    client, address = listener.accept()
                except OSError:
                    break  # nobody waits, or whoever did has gone
                if not is_full(address[0]):
                    client.setblocking(False)
                    return Crowd(count, client)
                no_linger(client)
                client.close()
                count += 1
    return Crowd(count)

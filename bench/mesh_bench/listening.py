"""Which ports are listened to, and which are connected to, from the kernel's table of TCP sockets. Pure.

Asked in this way nobody is connected to: a proxy that has not been used yet stays so.
"""

_ESTABLISHED, _LISTEN = "01", "0A"


def listening_ports(table: str) -> set[int]:
    """The local ports in state LISTEN of `/proc/net/tcp`."""
    return {_port(row[1]) for row in _rows(table) if row[3] == _LISTEN}


def connected_ports(table: str) -> set[int]:
    """The remote ports of established connections."""
    return {_port(row[2]) for row in _rows(table) if row[3] == _ESTABLISHED}


def _rows(table: str) -> list[list[str]]:
    rows = (line.split() for line in table.splitlines()[1:])
    return [row for row in rows if len(row) > 3]


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)

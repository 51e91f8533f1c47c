"""What an endpoint is told of its caller: PROXY protocol, version 2 (HAProxy's proxy-protocol.txt, 2.2).

It is written before the first byte of a stream, where the ServiceExport asks for it (ruling 23).

1. The address in the header is the caller's own only when it is on our network, where its cluster's MeshPeer
   says that cluster's pods are. Elsewhere 10.244.1.7 may be a pod of ours as well: then the address is the
   gateway's, as the endpoint sees it anyway, and who calls stands in fields of their own (docs/wire.md).
2. The cluster is the one of the certificate. The rest is the word of that cluster's gateway, and is left out
   where it could not be such a name or address.
3. Fields beyond the addresses have types that the specification leaves to applications (0xE0 to 0xEF).
"""

import re
from enum import IntEnum
from functools import lru_cache
from ipaddress import ip_address

from mesh_core.ranges import Ranges, number_of
from mesh_gateway.opening import Source
from mesh_gateway.route import Address

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_PROXY = b"\x21"
"""Version 2, and a connection that was made for somebody else."""
_TCP4, _TCP6 = b"\x11", b"\x21"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class Field(IntEnum):
    """The types of our fields, with values in ASCII. NODE is empty: a node calls, or a pod on its network."""

    CLUSTER = 0xE0
    NAMESPACE = 0xE1
    ACCOUNT = 0xE2
    POD = 0xE3
    ADDRESS = 0xE4
    NODE = 0xE5


def proxy_header(
    source: Source | None, *, cluster: str, gateway: Address, endpoint: Address, neighbour: Ranges | None
) -> bytes:
    """The header for a stream of `cluster`, on a connection from `gateway` to `endpoint` (its two ends).

    `neighbour` are the ranges of the cluster's pods when it is on our network, None when it is not:
    `RouteTable.neighbours.get(cluster)`.
    """
    caller = gateway
    if source is not None and source.port and _is_theirs(source, neighbour=neighbour, endpoint=endpoint):
        caller = Address(source.address, source.port)
    fields = b"".join(_fields(source, cluster=cluster))
    client, server = _packed(caller.host), _packed(endpoint.host)
    body = client + server + caller.port.to_bytes(2, "big") + endpoint.port.to_bytes(2, "big")
    family = _TCP4 if len(server) == 4 else _TCP6
    return _SIGNATURE + _PROXY + family + (len(body) + len(fields)).to_bytes(2, "big") + body + fields


def _is_theirs(source: Source, *, neighbour: Ranges | None, endpoint: Address) -> bool:
    """Whether the source's address says the same here as there, and fits beside the endpoint's."""
    number, other = number_of(source.address), number_of(endpoint.host)
    if neighbour is None or number is None or other is None:
        return False
    return number.family == other.family and neighbour.hold(number)


@lru_cache(maxsize=1 << 12)
def _packed(host: str) -> bytes:
    return ip_address(host).packed


def _fields(source: Source | None, *, cluster: str) -> list[bytes]:
    found = [_field(Field.CLUSTER, cluster)]
    if source is None:
        return found
    named = (
        (Field.NAMESPACE, source.namespace),
        (Field.ACCOUNT, source.account),
        (Field.POD, source.pod),
    )
    if source.node:
        found.append(_field(Field.NODE, ""))
    else:
        found += [_field(kind, name) for kind, name in named if _NAME.fullmatch(name)]
    if number_of(source.address) is not None:
        host = str(ip_address(source.address))
        found.append(_field(Field.ADDRESS, str(Address(host, source.port)) if source.port else host))
    return found


def _field(kind: Field, text: str) -> bytes:
    value = text.encode("ascii")
    return kind.to_bytes(1, "big") + len(value).to_bytes(2, "big") + value

"""What is wrong with the endpoints of a shard: numbers, spellings, and addresses that nobody may name.

An address is written in its one canonical form and is never loopback, link-local, multicast, unspecified or
reserved: what a peer names ends up in the rules of every node of ours.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Final

from mesh_core.record import MOST_IN_SHARD, Shard

_HOSTNAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ZONE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LONGEST_ADDRESS: Final = 45


def shard_fault(shard: Shard) -> str:
    """The fault of the endpoints, "" when there is none."""
    if len(shard.endpoints) > MOST_IN_SHARD:
        return f"endpoints: there are {len(shard.endpoints)}, more than {MOST_IN_SHARD}"
    family = 6 if shard.address_type == "IPv6" else 4
    for endpoint in shard.endpoints:
        fault = address_fault(endpoint.address, family=family)
        if fault:
            return f"endpoints: {fault}"
        if endpoint.hostname is not None and not _HOSTNAME.fullmatch(endpoint.hostname):
            return "endpoints: a hostname is no DNS label"
        if endpoint.zone is not None and not _ZONE.fullmatch(endpoint.zone):
            return "endpoints: a zone is not the name of one"
    return ""


@lru_cache(maxsize=1 << 16)
def address_fault(text: str, *, family: int) -> str:
    """Why nobody may name this address, "" when it may be; kept, because a shard comes again and again."""
    if len(text) > _LONGEST_ADDRESS:
        return "an address is none"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "an address is none"
    if address.version != family:
        return "an address is not of the shard's addressType"
    # A scope (fe80::1%eth0) would be equal to its own text.
    if str(address) != text or "%" in text:
        return "an address is not written as it should be"
    special = address.is_loopback or address.is_link_local or address.is_multicast
    # 0.0.0.0/8 is "this network" (RFC 1122), of which `is_unspecified` knows one address.
    nowhere = address.is_unspecified or address.is_reserved or (family == 4 and address.packed[0] == 0)
    return f"nobody may name the address {text}" if special or nowhere else ""

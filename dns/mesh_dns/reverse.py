"""Which names an address has: the other way round of what the zone says, for PTR (RFC 1035 section 3.5).

1. A clusterset IP has the name of its service, the address of a headless import's endpoint that endpoint's.
2. An address has at most `MOST_NAMES` names, the first by their bytes: which ones they are depends on nothing
   but the names that there are.
3. A change spells the names that it changes, and no others of the service.
"""

from ipaddress import IPv4Address
from typing import NamedTuple

from mesh_dns.entry import Entry, Host
from mesh_dns.wire import Address, labels

MOST_NAMES = 8
"""Several services may share an endpoint; whoever asks for a name wants one."""

_FOUR = labels("in-addr", "arpa") + b"\0"
_SIX = labels("ip6", "arpa") + b"\0"


class Held(NamedTuple):
    """An address that a service gives out, and the host below it that has it; None: the service itself."""

    address: Address
    host: Host | None


def reverse_name(address: Address) -> bytes:
    """Where the names of an address are asked for, in wire form: below `in-addr.arpa` or `ip6.arpa`."""
    if isinstance(address, IPv4Address):
        return labels(*reversed(str(address).split("."))) + _FOUR
    digits = address.packed.hex().encode()
    return b"".join(b"\x01%c" % digit for digit in reversed(digits)) + _SIX


def held_by(entry: Entry) -> frozenset[Held]:
    """What a service gives out."""
    if not entry.hosts:
        return frozenset(Held(address, None) for address in entry.addresses)
    return frozenset(Held(address, host) for host, known in entry.hosts.items() for address in known)


class Reverse:
    """The names of each address, as the services of the zone have them."""

    def __init__(self) -> None:
        self._names: dict[Address, tuple[bytes, ...]] = {}  # a tuple is a quarter of a set of one

    def names_of(self, address: Address) -> list[bytes]:
        """The names that an address has, in the order in which they are told."""
        return sorted(self._names.get(address, ()))[:MOST_NAMES]

    def change(self, old: frozenset[Held], new: frozenset[Held], *, own: bytes) -> set[Address]:
        """Lets the service named `own` give out `new` instead of `old`.

        The addresses whose names change by it.
        """
        for address, host in old - new:
            name = _name(host, own=own)
            left = tuple(one for one in self._names[address] if one != name)
            if left:
                self._names[address] = left
            else:
                del self._names[address]
        for address, host in new - old:
            self._names[address] = (*self._names.get(address, ()), _name(host, own=own))
        return {address for address, _ in new ^ old}


def _name(host: Host | None, *, own: bytes) -> bytes:
    return labels(*host) + own if host is not None else own

"""Which names an address has: the other way round of what the zone says, for PTR (RFC 1035 section 3.5).

1. A clusterset IP has the name of its service, the address of a headless import's endpoint that endpoint's.
2. An address has at most `MOST_NAMES` names, the first by their bytes: which ones they are depends on nothing
   but the names that there are.
3. A change costs the addresses that it is about, and not the other names that these have. Names are held as
   the zone's table has them already, and records are made when somebody asks: few do, and they would take
   more memory than the zone.
"""

from collections.abc import Iterable
from heapq import nsmallest
from ipaddress import IPv4Address, IPv6Address

from mesh_dns.wire import Address, labels

MOST_NAMES = 8
"""Several services may share an endpoint; whoever asks for a name wants one."""

_FOUR = labels("in-addr", "arpa") + b"\0"
_SIX = labels("ip6", "arpa") + b"\0"
_LONGEST_FOUR = len(labels("255", "255", "255", "255"))


def reverse_name(address: Address) -> bytes:
    """Where the names of an address are asked for, in wire form: below `in-addr.arpa` or `ip6.arpa`."""
    if isinstance(address, IPv4Address):
        return labels(*reversed(str(address).split("."))) + _FOUR
    digits = address.packed.hex().encode()
    return b"".join(b"\x01%c" % digit for digit in reversed(digits)) + _SIX


def address_of(name: bytes) -> Address | None:
    """The address whose names are asked for at `name`, in wire form and lower case; None for another name."""
    try:
        address = _read(name)
    except ValueError:
        return None
    # One spelling only: 010 is no octet, and what follows the address may be half a label.
    return address if address is not None and reverse_name(address) == name else None


class Reverse:
    """The names of each address, as the services of the zone have them."""

    def __init__(self) -> None:
        # Nearly all have one name, and a set is larger than what it takes to hold that. No name costs more
        # for the others there are: a peer may give all endpoints of all its services one address.
        self._names: dict[Address, bytes | set[bytes]] = {}
        self._told: dict[Address, list[bytes]] = {}  # of several, until one of them comes or goes

    def names_of(self, address: Address) -> list[bytes]:
        """The names that an address has, in the order in which they are told."""
        known = self._names.get(address)
        if known is None:
            return []
        if isinstance(known, bytes):
            return [known]
        told = self._told.get(address)
        if told is None:
            told = self._told[address] = nsmallest(MOST_NAMES, known)
        return told

    def add(self, addresses: Iterable[Address], *, name: bytes) -> None:
        """Lets each of the addresses have that name too."""
        for address in addresses:
            known = self._names.setdefault(address, name)
            if isinstance(known, set):
                known.add(name)
                self._told.pop(address, None)
            elif known != name:
                self._names[address] = {known, name}

    def remove(self, addresses: Iterable[Address], *, name: bytes) -> None:
        """Takes that name from each of the addresses that has it."""
        for address in addresses:
            known = self._names.get(address)
            if isinstance(known, set):
                known.discard(name)
                self._told.pop(address, None)
                if len(known) == 1:
                    self._names[address] = known.pop()
            elif known == name:
                del self._names[address]


def _read(name: bytes) -> Address | None:
    """Raises ValueError."""
    if name.endswith(_FOUR) and len(name) <= _LONGEST_FOUR + len(_FOUR):
        octets = []
        at, end = 0, len(name) - len(_FOUR)
        while at < end:
            octets.append(name[at + 1 : at + 1 + name[at]].decode("ascii"))
            at += 1 + name[at]
        return IPv4Address(".".join(reversed(octets)))
    if name.endswith(_SIX):
        return IPv6Address(bytes.fromhex(name[-len(_SIX) - 1 :: -2].decode("ascii")))
    return None

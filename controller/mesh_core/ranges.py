"""Sets of IP addresses given as ranges (CIDRs), and what each connection asks of them: is this one in it?

A cluster has as many ranges as nodes, mostly of one length; what is asked costs one look-up for each length.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from mesh_core.errors import UserError


class Number(NamedTuple):
    """An IP address whatever its spelling: 4 or 6, and its value."""

    family: int
    value: int


def parsed(text: str) -> Number | None:
    """The address that is meant; None when it is none. A zone (`fe80::1%eth0`) makes it none."""
    if "%" in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return Number(address.version, int(address))


@lru_cache(maxsize=1 << 16)
def number_of(text: str) -> Number | None:
    """The same, remembered: for addresses that come again. What strangers may make up is for `parsed`."""
    return parsed(text)


@dataclass(frozen=True, slots=True)
class Ranges:
    """Made by `ranges_of`. By family and number of host bits: the ranges without these bits."""

    prefixes: Mapping[tuple[int, int], frozenset[int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.prefixes)

    def hold(self, address: Number | None) -> bool:
        """Whether the address lies in one of them."""
        if address is None:
            return False
        for (family, bits), prefixes in self.prefixes.items():
            if family == address.family and address.value >> bits in prefixes:
                return True
        return False

    @property
    def families(self) -> frozenset[int]:
        """Those of the ranges."""
        return frozenset(family for family, _ in self.prefixes)

    def only(self, families: frozenset[int]) -> "Ranges":
        """The ranges of these families."""
        return Ranges({key: prefixes for key, prefixes in self.prefixes.items() if key[0] in families})


def ranges_of(texts: Iterable[str]) -> Ranges:
    """The ranges that read; host bits do not count. One that does not read holds nothing."""
    found: dict[tuple[int, int], set[int]] = {}
    for text in texts:
        known = _prefix(text)
        if known is not None:
            family, bits, prefix = known
            found.setdefault((family, bits), set()).add(prefix)
    return Ranges({key: frozenset(prefixes) for key, prefixes in sorted(found.items())})


# The ranges of all nodes are put together anew at each change of one.
@lru_cache(maxsize=1 << 13)
def _prefix(text: str) -> tuple[int, int, int] | None:
    """Family, number of host bits, and the rest; None for what is no range."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    bits = network.max_prefixlen - network.prefixlen
    return network.version, bits, int(network.network_address) >> bits


def read_ranges(texts: Iterable[str], *, setting: str) -> Ranges:
    """The ranges that a person gave as `setting`. Raises UserError for one that does not read."""
    given = tuple(texts)
    for text in given:
        try:
            ip_network(text)
        except ValueError as error:
            raise UserError(
                f"{setting} names {text[:60]!r}, which is no range of addresses",
                next_step="give it as 192.0.2.0/24, without bits behind the prefix",
            ) from error
    return ranges_of(given)

"""Which askers are this cluster's own: no limit is for them (docs/decisions/0025).

1. Local are loopback, the Nodes' addresses and podCIDRs, whatever the cluster's DNS Service selects, and the
   networks that the operator names. Anything else is outside.
2. Until that was heard once, and an endpoint of cluster DNS was seen, everybody is served like a local asker:
   a limit that takes cluster DNS for a stranger, with the API server away or cluster DNS under a name that we
   do not know, would do what an attacker wants. What only local askers may be told waits for certainty
   (`is_surely_local`).
3. Only local addresses are remembered, so no flood from outside costs them their place.

Who follows the API server is `mesh_dns.source_watch`.
"""

from collections.abc import Iterable

from mesh_core.node_place import NodePlaces
from mesh_core.objects import Node
from mesh_core.ranges import Number, Ranges, number_of, parsed, ranges_of

LOOPBACK = ("127.0.0.0/8", "::1/128")

MOST_REMEMBERED = 1 << 14
"""Local addresses that a look-up is saved for; a cluster's DNS is asked by a few, and its nodes."""

_MAPPED = "::ffff:"
"""How an IPv4 address begins that is seen by an IPv6 socket (RFC 4291 section 2.5.5.2)."""


class Sources:
    """Follows Nodes and the endpoints of cluster DNS; `networks` are the operator's."""

    def __init__(self, networks: Ranges | None = None) -> None:
        self.is_known = False
        """Whether Nodes were listed once and an endpoint of cluster DNS was seen; set by who follows them."""
        self._loopback = ranges_of(LOOPBACK)
        self._networks = networks or Ranges()
        self._places = NodePlaces()
        self._cluster_dns: frozenset[str] = frozenset()
        self._pods = Ranges()
        self._addresses: frozenset[Number | None] = frozenset()
        self._is_stale = False
        self._local: set[str] = set()

    def is_local(self, address: str) -> bool:
        """Whether no limit is for this asker; `address` is as a socket tells it, without the port."""
        return address in self._local or not self.is_known or self.is_surely_local(address)

    def is_surely_local(self, address: str) -> bool:
        """Whether the asker is known to be of this cluster."""
        if self._is_stale:
            self._settle()
        if address in self._local:
            return True
        if not self._holds(parsed(plain(address))):
            return False
        if len(self._local) >= MOST_REMEMBERED:
            self._local.clear()
        self._local.add(address)
        return True

    def node_changed(self, name: str, node: Node | None) -> None:
        """Follow one change of the Node `name`; None: it is gone."""
        if self._places.changed(name, node):
            self._forget()

    def cluster_dns_changed(self, addresses: Iterable[str]) -> None:
        """`addresses` are those of all endpoints of the cluster's DNS Service, ready or not."""
        found = frozenset(addresses)
        if found != self._cluster_dns:
            self._cluster_dns = found
            self._forget()

    def _holds(self, number: Number | None) -> bool:
        return number is not None and (
            number in self._addresses
            or self._pods.hold(number)
            or self._networks.hold(number)
            or self._loopback.hold(number)
        )

    def _forget(self) -> None:
        # Put together when somebody asks: Nodes change in bursts.
        self._is_stale = True
        self._local.clear()

    def _settle(self) -> None:
        self._is_stale = False
        self._pods = ranges_of(self._places.ranges)
        texts = self._cluster_dns | self._places.addresses
        self._addresses = frozenset(number_of(text) for text in texts)


def plain(address: str) -> str:
    """The address as its own family writes it: an IPv6 socket tells an IPv4 asker as `::ffff:192.0.2.1`."""
    return address[len(_MAPPED) :] if address.startswith(_MAPPED) and "." in address else address

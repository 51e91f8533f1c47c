"""Who is behind an address of this cluster: what the egress half may vouch for (ruling 17).

1. An address has an identity only by a pod that is not finished and was reported to have it. Of several, the
   newest that is not being deleted has it, else the newest; a pod that is being deleted keeps it until it is
   gone, or another is reported there.
2. Pods on a node's network, and everything else that comes from an address of a node, are the node. So is
   what was masqueraded: it comes from the node, or from its bridge, which has the first address of the node's
   podCIDR (a tunnel device has the one before).
3. An address inside the podCIDRs of the Nodes that nobody has is `PENDING`: a pod may be so new that its
   address was not reported yet. It is ours all the same: the Nodes say so.
4. Anything else is `FOREIGN` and not served: on a network that routes pods' addresses, somebody else's pod
   would be carried under our certificate.
5. Where no Node states podCIDRs of a family, or pods are known outside them, the ranges mean nothing: an
   address that nobody has is `UNKNOWN` then, and only a pod reported there makes it ours. It is `FOREIGN` at
   once if a peer of our network says that it is one of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network

from mesh_core.node_place import NodePlaces
from mesh_core.objects import Node, Pod
from mesh_core.ranges import Number, Ranges, number_of, ranges_of
from mesh_gateway.ground import Ground
from mesh_gateway.opening import Source


@dataclass(frozen=True, slots=True)
class Found:
    """A pod or a node of this cluster; `source` has no port."""

    source: Source


@dataclass(frozen=True, slots=True)
class Foreign:
    """An address that is not of this cluster: closed."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An address of this cluster that nobody is known to have yet: waited for, and served after that."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An address that nobody is known to have, and nothing says is ours: waited for, then closed."""


FOREIGN, PENDING, UNKNOWN = Foreign(), Pending(), Unknown()

Looked = Found | Foreign | Pending | Unknown


@dataclass(frozen=True, slots=True)
class _Holder:
    """A pod that has an address. `rank` orders those that share one: the last of them has it."""

    uid: str
    rank: tuple[bool, str, int]
    found: Found


class SourceIndex:
    """Follows Pods and Nodes. What nodes say is put together when somebody asks: it changes in bursts."""

    def __init__(self) -> None:
        self._holders: dict[str, tuple[_Holder, ...]] = {}
        self._reported = 0
        self._places = NodePlaces()
        self._nodes: dict[str, Found] = {}
        self._numbers: dict[str, Number] = {}
        self._ranges = Ranges()
        self._foreign = Ranges()
        self._strays: set[str] = set()
        self._is_stale = False
        self._namespaces: dict[str, str] = {}
        self._pods: dict[str, str] | None = None  # a copy of it, which a table is computed from elsewhere

    def look(self, address: str) -> Looked:
        """Who has this address now."""
        holders = self._holders.get(address)
        if holders is not None:
            return holders[-1].found
        if self._is_stale:
            self._settle()
        node = self._nodes.get(address)
        if node is not None:
            return node
        number = number_of(address)
        if number is None:
            return FOREIGN
        if number.family in self.stated:
            return PENDING if self._ranges.hold(number) else FOREIGN
        return FOREIGN if self._foreign.hold(number) else UNKNOWN

    def pod_changed(self, old: Pod | None, new: Pod | None) -> tuple[str, ...]:
        """Follows one change of a pod; the addresses that changed hands by it."""
        before, after = _addresses(old), _addresses(new)
        if old is not None and new is not None and before == after and _facts(old) == _facts(new):
            return ()
        if old is not None:
            for address in before:
                self._leave(address, uid=old.metadata.uid)
        if new is not None:
            self._reported += 1
            for address in after:
                self._take(address, pod=new)
        return tuple(dict.fromkeys((*before, *after)))

    def node_changed(self, name: str, new: Node | None) -> bool:
        """Follows one change of a node; whether it says anything new of addresses."""
        is_new = self._places.changed(name, new)
        self._is_stale = self._is_stale or is_new
        return is_new

    def neighbours_changed(self, ranges: Ranges) -> None:
        """`ranges` are those of the pods of peers on our network."""
        self._foreign = ranges

    @property
    def stated(self) -> frozenset[int]:
        """The families (4, 6) of which the Nodes' podCIDRs say what is a pod's address."""
        if self._is_stale:
            self._settle()
        if not self._strays:
            return self._ranges.families
        return self._ranges.families - {6 if ":" in text else 4 for text in self._strays}

    def ground(self, *, external: Ranges, reserved: Iterable[str]) -> Ground:
        """What is known of addresses now, for a table of routes; `reserved` are the API server's."""
        ranges = self._ranges.only(self.stated)
        if self._pods is None:
            self._pods = dict(self._namespaces)
        return Ground(
            pods=self._pods,
            nodes=frozenset(
                number for address, number in self._numbers.items() if address not in self._holders
            ),
            ranges=ranges,
            external=external,
            reserved=frozenset(number for text in reserved if (number := number_of(text)) is not None),
        )

    def _take(self, address: str, *, pod: Pod) -> None:
        meta = pod.metadata
        source = Source(
            address=address, namespace=meta.namespace, account=pod.spec.service_account_name, pod=meta.name
        )
        rank = (meta.deletion_timestamp is None, meta.creation_timestamp, self._reported)
        others = self._holders.get(address, ())
        holders = [*others, _Holder(meta.uid, rank, Found(source))]
        self._hold(address, holders=tuple(sorted(holders, key=lambda holder: holder.rank)))
        if not others and (self._is_stale or not self._ranges.hold(number_of(address))):
            self._strays.add(address)

    def _leave(self, address: str, *, uid: str) -> None:
        left = tuple(holder for holder in self._holders.get(address, ()) if holder.uid != uid)
        if left:
            self._hold(address, holders=left)
        elif self._holders.pop(address, None) is not None:
            del self._namespaces[address]
            self._pods = None
            self._strays.discard(address)

    def _hold(self, address: str, *, holders: tuple[_Holder, ...]) -> None:
        self._holders[address] = holders
        namespace = holders[-1].found.source.namespace
        if self._namespaces.get(address) != namespace:
            self._namespaces[address] = namespace
            self._pods = None

    def _settle(self) -> None:
        """Puts together what the nodes say.

        Only strays are looked at again: a pod that lay in a range is none when its node goes before it.
        """
        self._is_stale = False
        texts = self._places.ranges
        self._ranges = ranges_of(texts)
        bridges = {address for text in texts for address in _bridges(text)}
        addresses = bridges | self._places.addresses
        self._nodes = {
            address: self._nodes.get(address) or Found(Source(address=address, node=True))
            for address in sorted(addresses)
        }
        self._numbers = {
            address: number for address in self._nodes if (number := number_of(address)) is not None
        }
        self._strays = {text for text in self._strays if not self._ranges.hold(number_of(text))}


def _addresses(pod: Pod | None) -> tuple[str, ...]:
    """The addresses by which a pod is known: none on a node's network, and none when it has finished."""
    if pod is None or pod.spec.host_network or pod.is_finished:
        return ()
    return pod.addresses


def _facts(pod: Pod) -> tuple[str, str, bool]:
    """What decides, beside its addresses, whether the pod has them."""
    meta = pod.metadata
    return meta.uid, pod.spec.service_account_name, meta.deletion_timestamp is None


@lru_cache(maxsize=1 << 13)
def _bridges(text: str) -> tuple[str, ...]:
    """The first two addresses of a range; none where it does not read or has no more than these."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return ()
    return (str(network[0]), str(network[1])) if network.num_addresses > 2 else ()

"""Which tunnels to a peer are to be dialled and left: a pure decision about those that there are.

1. Of tunnels that are not worn, `enough` are wanted, whichever gateways they go to. Worn is what is past its
   time, was dialled at an address that the peer has no more, or has used up most of its stream numbers.
2. Then a worn one is left, if another goes to its gateway: the only way to a gateway stays until there is
   a second one, as far as its time allows (`tunnel_life`).
3. Each gateway that the peer says it has is to have a tunnel, whoever dialled it.
4. Whatever the peer says of its gateways, it gets `enough` and 64 more, and while they are replaced as many
   again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mesh_gateway.opening import TunnelHello
from mesh_gateway.route import Address

_MOST_GATEWAYS = 64


class Held(Protocol):
    """What is looked at in a tunnel, `tunnel.Tunnel` says what it means."""

    is_client: bool
    hello: TunnelHello | None
    way: Address | None
    renew_by: float
    left_at: float | None

    @property
    def is_open(self) -> bool: ...

    @property
    def is_gone(self) -> bool: ...

    @property
    def is_exhausted(self) -> bool: ...


T = TypeVar("T", bound=Held)


@dataclass(frozen=True, slots=True)
class Plan(Generic[T]):
    """`is_short`: one more is due. Else those of `leave` are not needed any more, and of the gateways `named`
    those `missing` have no tunnel."""

    is_short: bool = False
    leave: tuple[T, ...] = ()
    named: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()


def plan_tunnels(tunnels: Sequence[T], *, now: float, addresses: Iterable[Address], enough: int) -> Plan[T]:
    """What is to be done about the tunnels with a peer that is dialled at `addresses`."""
    addresses = frozenset(addresses)
    most = enough + _MOST_GATEWAYS
    mine = [tunnel for tunnel in tunnels if tunnel.is_client and not tunnel.is_gone]
    held = [tunnel for tunnel in mine if _counts(tunnel)]
    young = [tunnel for tunnel in held if not is_worn(tunnel, now=now, addresses=addresses)]
    if len(young) >= most or len(mine) >= 2 * most:
        return Plan()
    if len(young) < enough:
        return Plan(is_short=True)
    good = {tunnel.hello.replica for tunnel in young if tunnel.hello}
    leave = tuple(
        tunnel
        for tunnel in held
        if is_worn(tunnel, now=now, addresses=addresses)
        and (tunnel.hello is None or tunnel.hello.replica in good)
    )
    opened = [tunnel for tunnel in tunnels if tunnel.is_open]
    said = sorted({name for tunnel in opened if tunnel.hello for name in tunnel.hello.siblings})
    named = frozenset(said[:_MOST_GATEWAYS])
    reached = {
        tunnel.hello.replica
        for tunnel in opened
        if tunnel.hello and not is_worn(tunnel, now=now, addresses=addresses)
    }
    return Plan(leave=leave, named=named, missing=named - reached)


def is_surplus(
    tunnel: T, *, among: Iterable[T], now: float, addresses: Iterable[Address], enough: int
) -> bool:
    """Whether there are enough without this one, which came to a gateway that has another."""
    addresses = frozenset(addresses)
    young = [
        one
        for one in among
        if one.is_client and one.is_open and not is_worn(one, now=now, addresses=addresses)
    ]
    if tunnel.hello is None or len(young) <= enough:
        return False
    return sum(one.hello is not None and one.hello.replica == tunnel.hello.replica for one in young) > 1


def is_worn(tunnel: Held, *, now: float, addresses: frozenset[Address]) -> bool:
    """Whether it is time for another in its place."""
    return (
        now >= tunnel.renew_by
        or tunnel.is_exhausted
        or (tunnel.way is not None and tunnel.way not in addresses)
    )


def _counts(tunnel: Held) -> bool:
    """Whether it is one that we have: open, or about to be."""
    return tunnel.is_open or (tunnel.hello is None and not tunnel.is_gone and tunnel.left_at is None)

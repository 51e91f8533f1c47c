"""Which gateways of this cluster are alive, by the Leases that they renew (rulings 6 and 7).

1. Each replica renews a Lease of its own about every second. Alive is whose Lease was *seen* to change not
   long ago: times that other machines wrote are never compared with ours.
2. Silence is measured by what the others say. Time counts only while Leases are heard, and of a longer gap
   only `_LONGEST_GAP`: when the API server, our watch or our own loop stands still, nobody falls silent.
3. So one replica is silent when another one has renewed its Lease `_RENEWALS` times since, over `SILENT`
   seconds of such time. All of them at once never are, and neither is the only one.
4. One that was silent is back when it has renewed twice within `SILENT`: whoever renews now and then would
   else have every slice written anew each time.
5. A gateway with several workers has a Lease for each; its address is silent when all of them are. An address
   without any Lease is not judged here.

Times are seconds of a monotonic clock and are passed in.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from mesh_core.names import GATEWAY, LABEL_REPLICA, endpoint_label
from mesh_core.objects import Lease

SILENT: Final = 3.0
RENEWED_EVERY: Final = 1.0
"""Seconds, more or less by a fifth."""
ABANDONED: Final = 60.0
"""A Lease that did not change for so long, and whose address is no pod's, may be deleted."""
LEASE_SECONDS: Final = 3
SELECTOR: Final = f"{LABEL_REPLICA}={GATEWAY}"
_RENEWALS: Final = 3
_LONGEST_GAP: Final = 1.5


def replica_id(address: str, *, worker: int = 0) -> str:
    """What tells one gateway process from all others of its cluster: the pod's address, and `/n` for a
    further worker."""
    return f"{address}/{worker}" if worker else address


def lease_name(replica: str) -> str:
    """Name of the Lease of a replica: `gateway-` and its address with dashes, `.n` for a further worker."""
    address, _, worker = replica.partition("/")
    name = f"gateway-{endpoint_label(hostname=None, address=address).lower()}"
    return f"{name}.{worker}" if worker else name


def address_of(replica: str) -> str:
    """The pod's address."""
    return replica.partition("/")[0]


@dataclass(slots=True)
class _Pulse:
    """What was heard of one Lease: the last renewals in time that counts, and the last one by the clock."""

    replica: str
    renewals: deque[float] = field(default_factory=lambda: deque(maxlen=_RENEWALS))
    heard: float = 0.0
    is_confirmed: bool = False
    is_silent: bool = False


class Hearing:
    """What was heard of all Leases of gateways; feed it every change of the cache."""

    def __init__(self) -> None:
        self._pulses: dict[str, _Pulse] = {}
        self._counted = 0.0
        self._last: float | None = None

    def saw(self, lease: Lease, *, now: float) -> None:
        """A Lease is new or was renewed."""
        replica = lease.spec.holder_identity
        if not replica:
            return
        if self._last is not None:
            self._counted += min(max(now - self._last, 0.0), _LONGEST_GAP)
        self._last = now
        name = lease.metadata.name
        pulse = self._pulses.get(name)
        if pulse is None or pulse.replica != replica:
            pulse = self._pulses[name] = _Pulse(replica)
        else:
            pulse.is_confirmed = True
        pulse.renewals.append(self._counted)
        pulse.heard = now
        self._judge()

    def gone(self, name: str) -> None:
        """The Lease of that name was deleted."""
        self._pulses.pop(name, None)

    def alive(self) -> tuple[str, ...]:
        """The replicas that are not silent, sorted."""
        return tuple(sorted(pulse.replica for pulse in self._pulses.values() if not pulse.is_silent))

    def silent(self) -> frozenset[str]:
        """The addresses of which all replicas are silent."""
        known = {address_of(pulse.replica) for pulse in self._pulses.values()}
        return frozenset(known - {address_of(replica) for replica in self.alive()})

    def abandoned(self, *, pods: Iterable[str], now: float) -> tuple[str, ...]:
        """Names of Leases that may be deleted; `pods` are the addresses of all gateways, ready or not."""
        there = frozenset(pods)
        return tuple(
            name
            for name, pulse in sorted(self._pulses.items())
            if now - pulse.heard >= ABANDONED and address_of(pulse.replica) not in there
        )

    @property
    def is_settled(self) -> bool:
        """Whether each replica was either seen alive or has proved silent: a Lease that was only listed may
        be anybody's of long ago."""
        return all(pulse.is_confirmed or pulse.is_silent for pulse in self._pulses.values())

    def _judge(self) -> None:
        """Find out who is silent, after one more renewal of anybody."""
        often = (pulse.renewals[0] for pulse in self._pulses.values() if len(pulse.renewals) == _RENEWALS)
        # Since then somebody has renewed often enough.
        floor = max(often, default=0.0)
        for pulse in self._pulses.values():
            last = pulse.renewals[-1]
            is_back = len(pulse.renewals) > 1 and last - pulse.renewals[-2] < SILENT
            is_missed = last < floor and self._counted - last >= SILENT
            pulse.is_silent = is_missed or (pulse.is_silent and not is_back)

"""How long each member's Lease has been silent, by this process' own monotonic clock.

1. Silence counts from when a change of renewTime was seen; clocks of others are not asked.
2. While the hub does not hear its own API server it hears no member either, so no silence grows. Afterwards
   everybody gets a whole period, as after a start of the hub.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mesh_core.objects import Lease
from mesh_placement.decide.heart import UNSEEN, Heart
from mesh_placement.names import LEASE
from mesh_runtime.kube import Informer

# As long as a watch in which nothing happens may be silent: a bookmark comes about once a minute.
_DEAF_AFTER = 150.0


@dataclass(slots=True)
class _Seen:
    uid: str
    renewed: str | None
    since: float
    seen: bool


class Hearts:
    """Follows `leases`; `now` is a monotonic clock in seconds. Make it before the cache runs."""

    def __init__(self, leases: Informer[Lease], *, now: Callable[[], float]) -> None:
        self._leases = leases
        self._now = now
        self._hearts: dict[str, _Seen] = {}
        self._is_deaf = False
        leases.follow(self._follow)

    def of(self, namespace: str) -> Heart:
        """What was seen of the Lease in a member's namespace."""
        known = self._hearts.get(namespace)
        if known is None:
            return UNSEEN
        return Heart(renewed=known.renewed is not None, silent=self._silence(known), seen=known.seen)

    def look_again(self, namespace: str, lease: Lease | None) -> None:
        """Take a Lease that was read, in case the watch lags behind."""
        if lease is not None:
            self._follow((namespace, LEASE), None, lease)

    def _silence(self, known: _Seen) -> float:
        now = self._now()
        if not self._leases.is_current(within=_DEAF_AFTER):
            self._is_deaf = True
            return max(0.0, (self._leases.last_heard or now) - known.since)
        if self._is_deaf:
            self._is_deaf = False
            for one in self._hearts.values():
                one.since, one.seen = now, False
        return now - known.since

    def _follow(self, key: tuple[str, str], _old: Lease | None, new: Lease | None) -> None:
        namespace, _name = key
        known = self._hearts.get(namespace)
        if new is None:
            # Silence goes on, until the hub has made the Lease anew.
            if known is not None:
                known.uid, known.renewed = "", None
            return
        uid, renewed = new.metadata.uid, new.spec.renew_time
        if known is None or known.uid != uid:
            self._hearts[namespace] = _Seen(uid=uid, renewed=renewed, since=self._now(), seen=False)
        elif known.renewed != renewed:
            known.renewed, known.since, known.seen = renewed, self._now(), True

"""Whom the egress half asks for a stream, in order: by exact weight, or the cluster that a client keeps.

1. Without affinity clusters take turns by exact weight (`balance`), counted over all local ports that stand
   for the same thing; those that are silent come last.
2. With affinity (ClientIP) a client stays with the cluster that served it last, for `Egress.affinity`
   seconds after each of its connections, and nobody else is asked meanwhile (ruling 14) unless that cluster
   is gone: not among the targets any more, or silent.
3. A client that keeps none yet prefers clusters by rendezvous, in proportion to their weights, so that all
   replicas and workers send it to the same one.
4. At most `CLIENTS` clients are remembered; of more those that came longest ago are forgotten, and then
   law 3 sends most of them where they were.

Times are seconds of one clock and passed in.
"""

from collections.abc import Collection, Mapping

from mesh_core.identity import ClusterId
from mesh_gateway.affinity import kept_order
from mesh_gateway.balance import next_turn
from mesh_gateway.route import Egress, ServicePort
from mesh_gateway.silence import Silence

CLIENTS = 65_536

_Client = tuple[ServicePort, str]


class ClusterChooser:
    """Chooses by what it is told: `silence` says who did not answer lately, `took` who gave a stream."""

    def __init__(self, silence: Silence) -> None:
        self._silence = silence
        self._credit: dict[ServicePort, Mapping[ClusterId, int]] = {}
        self._kept: dict[_Client, tuple[ClusterId, float]] = {}  # who came last is last

    def order(self, route: Egress, *, client: str, now: float) -> tuple[ClusterId, ...]:
        """Whom to ask for a stream of `client`, an address; the best first, nobody when nobody serves it."""
        targets = route.targets
        if len(targets) < 2:
            return (targets[0].cluster,) if targets else ()
        answering = [target for target in targets if not self._silence.holds(target.cluster, now=now)]
        if route.affinity is None:
            turn = next_turn(answering, credit=self._credit.get(route.target, {}))
            self._credit[route.target] = turn.credit
            first = turn.order
        else:
            kept, until = self._kept.get((route.target, client), (None, 0.0))
            if until > now and any(target.cluster == kept for target in answering) and kept is not None:
                return (kept,)
            first = kept_order(answering, client=f"{route.target} {client}")
        if len(first) == len(targets):
            return first
        return *first, *(target.cluster for target in targets if target.cluster not in first)

    def took(self, route: Egress, *, client: str, cluster: ClusterId, now: float) -> None:
        """`cluster` gave a stream to `client`, who keeps it from now on if the route says so."""
        if route.affinity is None or len(route.targets) < 2:
            return
        key = route.target, client
        self._kept.pop(key, None)
        self._kept[key] = cluster, now + route.affinity
        if len(self._kept) > CLIENTS:
            del self._kept[next(iter(self._kept))]

    def forget_all_but(self, targets: Collection[ServicePort]) -> None:
        """Drops the turns of what nobody can ask for any more; clients are forgotten by themselves."""
        for target in self._credit.keys() - set(targets):
            del self._credit[target]

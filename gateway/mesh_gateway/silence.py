"""Clusters that did not answer lately: asked last, and tried again by one connection at a time.

Without it every caller whose turn falls on a dead cluster waits for the connect limit.

1. A cluster that did not answer is silent for `RETRY` seconds; a silent one is asked only when nobody
   else is left.
2. After that the next caller asks it, and it stays silent for the others until it has answered.
3. An answer, also a refusal, ends the silence: the way there works.

Times are seconds of one clock and passed in.
"""

from mesh_core.identity import ClusterId

RETRY = 5.0


class Silence:
    """Which clusters are silent; bounded by the number of clusters that are ever asked."""

    def __init__(self) -> None:
        self._until: dict[ClusterId, float] = {}

    def holds(self, cluster: ClusterId, *, now: float) -> bool:
        """Whether `cluster` is to be asked last."""
        return self._until.get(cluster, now) > now

    def asked(self, cluster: ClusterId, *, now: float) -> None:
        """Somebody asks it now; if it was silent, others keep off meanwhile."""
        if cluster in self._until:
            self._until[cluster] = now + RETRY

    def unanswered(self, cluster: ClusterId, *, now: float) -> None:
        """It did not answer."""
        self._until[cluster] = now + RETRY

    def answered(self, cluster: ClusterId) -> None:
        """It answered."""
        self._until.pop(cluster, None)

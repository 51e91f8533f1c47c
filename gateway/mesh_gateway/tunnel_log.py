"""What is logged of tunnels: a peer can neither flood the log nor write in it what looks like another line.

Of one peer so many lines a minute are written that a fleet of gateways which starts anew fits in; how many
more there were is said with the first of a later minute.
"""

import asyncio
from collections.abc import Iterable

from mesh_gateway.refusals import Refusals
from mesh_runtime.log import logger

_log = logger(__name__)

_WINDOW = 60.0
_MOST_LINES = 32
_MOST_TEXT = 200
_MOST_NAMES = 8


def plain(text: str, *, most: int = _MOST_TEXT) -> str:
    """A peer's words, as printable ASCII and not too many of them."""
    return ascii(text[:most])[1:-1][:most]


class TunnelLog:
    """Writes the lines of one pool, or of one dialler."""

    def __init__(self) -> None:
        self._refusals = Refusals("tunnels")
        self._lines: dict[str, tuple[float, int]] = {}
        """Of each peer, since when lines are counted and how many there were."""

    def opened(self, cluster: str, *, replica: str, dialled: bool) -> None:
        """A tunnel has opened."""
        if self._may_write(cluster):
            _log.info("tunnel open", peer=cluster, replica=plain(replica), dialled=dialled)

    def ended(self, cluster: str, *, why: str, dialled: bool) -> None:
        """A tunnel that was open is gone."""
        if self._may_write(cluster):
            _log.info("tunnel ended", peer=cluster, why=plain(why), dialled=dialled)

    def refused(self, cluster: str, *, why: str) -> None:
        """The two ends cannot work together."""
        self._refusals.tell(f"no tunnel with cluster {cluster}: {plain(why)}", peer=cluster)

    def unreached(self, cluster: str, *, gateways: Iterable[str]) -> None:
        """No address of the peer leads to these gateways of it."""
        names = sorted(gateways)
        shown = ", ".join(plain(name, most=63) for name in names[:_MOST_NAMES])
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        self._refusals.tell(
            f"no address of cluster {cluster} leads to its gateways {shown}{more}", peer=cluster
        )

    def _may_write(self, cluster: str) -> bool:
        now = asyncio.get_running_loop().time()
        since, lines = self._lines.get(cluster, (now, 0))
        if now - since >= _WINDOW:
            if lines > _MOST_LINES:
                _log.info("tunnels opened and ended", peer=cluster, lines_left_out=lines - _MOST_LINES)
            since, lines = now, 0
        self._lines[cluster] = since, lines + 1
        return lines < _MOST_LINES

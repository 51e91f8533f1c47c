"""How far the peer of one stream is with what it was told."""

from collections.abc import Iterable

from mesh_core.peer_wire import Drop, Hello, Message, Put, Synced
from mesh_runtime.latest import Latest


class PeerReader:
    """The peer that said `hello`."""

    def __init__(self, hello: Hello) -> None:
        self.hello = hello
        self.acknowledged: Latest[int] = Latest()
        """The revision that it has last acknowledged."""
        self._told = 0

    def sent(self, messages: Iterable[Message]) -> None:
        """These are on their way to it."""
        revisions = [one.revision for one in messages if isinstance(one, Put | Drop | Synced)]
        self._told = max(revisions, default=self._told)

    @property
    def is_up_to_date(self) -> bool:
        """Whether it has acknowledged the last that it was sent.

        While it takes a list in it acknowledges what it had before, which may be of another log; where that
        is the same number by chance it counts one way of the wire too early, and still hears all in order.
        """
        return self.acknowledged.value == self._told

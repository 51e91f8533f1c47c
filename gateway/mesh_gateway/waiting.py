"""What stands in for a stream while a client waits for one: it keeps what the client says, and is a `Stream`.

At most `most` bytes, and the one read that was on its way: then the client is paused.
"""

from mesh_gateway.stream import Stream, StreamReader


class Waiting:
    """Begins with what was `kept` so far, and whether the client has `ended` its way."""

    __slots__ = ("_ended", "_kept", "_reader", "_size", "came", "most", "sent")

    def __init__(self, kept: list[bytes], *, ended: bool, most: int) -> None:
        self.most = most
        self.sent = 0
        self.came = 0
        self._kept = kept
        self._size = sum(map(len, kept))
        self._ended = ended
        self._reader: StreamReader | None = None

    def hand_over(self, stream: Stream) -> None:
        """Says to `stream` what the client has said."""
        for data in self._kept:
            stream.write(data)
        if self._ended:
            stream.end()

    # Stream

    @property
    def unsent(self) -> int:
        return self._size

    @property
    def holds(self) -> int:
        return self._size

    def start(self, reader: StreamReader) -> None:
        self._reader = reader
        if self._size >= self.most:
            reader.send_paused()

    def write(self, data: bytes) -> None:
        if self._ended:
            return
        self._kept.append(data)
        self._size += len(data)
        if self._size >= self.most and self._reader is not None:
            self._reader.send_paused()

    def end(self) -> None:
        self._ended = True

    def abort(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stream_gone(cleanly=False)

    def pause(self) -> None:
        """Nothing comes from here."""

    def resume(self) -> None:
        """Nothing comes from here."""

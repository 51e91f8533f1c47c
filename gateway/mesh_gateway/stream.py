"""What a stream of bytes is to the rest of the gateway, whatever carries it.

The shape is asyncio's transport and protocol with one thing added, half close, and others left out:
names, addresses and TLS stay inside. A TCP connection is a stream (`tcp_stream`), so is a TLS
connection (`tls_stream`), and so can be one of many inside a tunnel.

1. Nothing is handed over before `start`; what came earlier, at most one read, is kept and comes first.
2. After `bytes_ended` nothing more comes; after `end` nothing more is written. When both have happened
   the stream closes by itself as soon as all is sent.
3. `stream_gone` comes once, last, and for every stream that was started: cleanly when both ways had
   ended, otherwise because either side reset it.
4. Between `send_paused` and `send_resumed` the writer holds on; what it writes all the same is kept.
"""

from typing import Protocol

LARGEST_READ = 256 * 1024
"""Most bytes that one `bytes_came` brings."""

HIGH_MARK = 64 * 1024
"""Unsent bytes above which a plain connection pauses its writer. It keeps no more than that and what was on
its way by then."""

LOW_MARK = 16 * 1024
"""Unsent bytes below which the writer may go on."""

TLS_HIGH_MARK, TLS_LOW_MARK = 4 * HIGH_MARK, 4 * LOW_MARK
"""The same for a TLS connection, which may carry many streams."""


class StreamReader(Protocol):
    """Who takes what a stream brings. No method may raise or wait."""

    def bytes_came(self, data: bytes) -> None:
        """The next bytes, never empty."""

    def bytes_ended(self) -> None:
        """The other side has ended its way; ours stays open."""

    def send_paused(self) -> None:
        """More is written than is sent: write no more for now. May be said again when it holds more."""

    def send_resumed(self) -> None:
        """Most of it is sent."""

    def stream_gone(self, *, cleanly: bool) -> None:
        """Nothing is left of the stream."""


class Stream(Protocol):
    """A two-way stream of bytes whose ways end one by one.

    `sent` and `came` count the bytes written and handed over so far.
    """

    sent: int
    came: int

    @property
    def unsent(self) -> int:
        """Bytes that were written and wait in this process."""

    @property
    def holds(self) -> int:
        """Bytes that it keeps, or may come to keep, while its writer is paused."""

    def start(self, reader: StreamReader) -> None:
        """Begins to hand bytes to `reader`; called once."""

    def write(self, data: bytes) -> None:
        """Sends `data` soon; ignored after `end`, and when the stream is gone."""

    def end(self) -> None:
        """Ends our way when all that was written is sent (half close)."""

    def abort(self) -> None:
        """Throws away what is not sent and resets the connection."""

    def pause(self) -> None:
        """Hands over no more bytes until `resume`, and lets the sender feel it."""

    def resume(self) -> None:
        """Goes on handing over bytes."""

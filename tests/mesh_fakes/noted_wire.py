"""In the place of a TLS connection of a tunnel: takes everything, brings nothing, and notes what is done."""

from collections.abc import Sequence

from mesh_gateway.stream import StreamReader


class Wire:
    """`said` is all that was written; a test brings bytes itself, by the tunnel's `bytes_came`."""

    peer = ("192.0.2.1", 15443)
    unsent = 0

    def __init__(self) -> None:
        self.said = bytearray()
        self.options: dict[int, int] = {}
        self.is_ended = False
        self.is_aborted = False

    def set_option(self, _level: int, *, option: int, value: int) -> None:
        """As `TlsStream`."""
        self.options[option] = value

    def tcp_info(self) -> bytes:
        """No kernel knows of it."""
        return b""

    def start(self, _reader: StreamReader) -> None:
        """Nothing comes."""

    def write_all(self, pieces: Sequence[bytes | memoryview]) -> None:
        """It has left."""
        self.said += b"".join(pieces)

    def end(self) -> None:
        """As `TlsStream`."""
        self.is_ended = True

    def abort(self) -> None:
        """As `TlsStream`."""
        self.is_aborted = True

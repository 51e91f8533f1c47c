"""What a stream of a tunnel needs of its session: the seam between the two."""

from typing import TYPE_CHECKING, Protocol

from mesh_gateway.window_budget import WindowBudget

if TYPE_CHECKING:
    from mesh_gateway.mux_stream import MuxStream


class Way(Protocol):
    """The session, as far as a stream needs it."""

    blocked: bool
    now: float
    rtt: float
    largest_window: int
    early_data: int
    budget: WindowBudget
    kept: WindowBudget

    def send(self, header: bytes, payload: bytes | memoryview) -> None:
        """Send a DATA frame in its turn."""

    def send_after(self, frame: bytes) -> None:
        """Send a frame that is no payload after what this stream has sent."""

    def send_first(self, frame: bytes) -> None:
        """Send a frame without payload before all data."""

    def keep_early(self, size: int) -> bool:
        """So many more bytes wait for streams to be accepted, less if negative; whether these may be kept."""

    def wait_for_room(self, stream: "MuxStream") -> None:
        """Tell the stream, by `room_came`, when data may be sent again."""

    def forget(self, stream: "MuxStream") -> None:
        """The stream is gone."""

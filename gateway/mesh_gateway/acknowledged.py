"""Whether the other end goes on acknowledging what we have sent, while much of it still waits. Pure.

Behind bulk in one direction a ping waits for seconds, and so does its answer; what comes meanwhile are
acknowledgements. They come from the other end's kernel, so they are no sign that the program lives there: it
counts only while so much is under way that our ping cannot have arrived yet, and an idle tunnel whose pings
are acknowledged and not answered is silent.
"""

import struct

TCP_INFO_SIZE = 148
"""Bytes of `struct tcp_info` up to `tcpi_notsent_bytes` (linux/tcp.h); Linux 4.6 has them all."""
_MUCH = 64 * 1024
"""Less than that is no queue, but a few pings on a long way."""
_MSS, _UNACKED, _ACKED, _NOT_SENT = 16, 24, 120, 144


class Acknowledged:
    """Of one connection."""

    def __init__(self) -> None:
        self._before: int | None = None

    def goes_on(self, info: bytes) -> bool:
        """Whether more is acknowledged than when we looked last, and much is not; `info` is `tcp_info`."""
        if len(info) < TCP_INFO_SIZE:
            return False
        (acked,) = struct.unpack_from("=Q", info, _ACKED)
        (mss,), (segments,) = struct.unpack_from("=I", info, _MSS), struct.unpack_from("=I", info, _UNACKED)
        (not_sent,) = struct.unpack_from("=I", info, _NOT_SENT)
        before, self._before = self._before, acked
        return before is not None and acked > before and segments * mss + not_sent >= _MUCH

    def forget(self) -> None:
        """Something was heard: what was acknowledged until now does not matter."""
        self._before = None

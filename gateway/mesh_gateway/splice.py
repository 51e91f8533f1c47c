"""Joins two plain TCP connections inside the kernel: `splice` from socket to pipe, and from pipe to socket.

For connections that are passed through: no byte of theirs is ever looked at, so none needs to come up to
us. It keeps the laws of `pump`:

1. Each way ends by itself: half close passes through.
2. A sink that takes no more stops the reading of its own source, and nothing else. What waits then lies in
   one pipe (`pipes`), or in the one piece that came before.
3. When one side is reset, or breaks, the other is reset: a cut answer never looks like a whole one.
4. Small reads are copied, through one buffer for all: for them that is cheaper than two splices. So are
   all reads of a way for which the kernel gives no pipe or refuses to splice.

The connections leave their transports without a FIN or RST: a duplicate of the socket lives on, the
transport closes its own descriptor only (tried with asyncio and uvloop, and a test stays).
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable

from mesh_gateway.pipes import WANTED, Pipe, Pipes
from mesh_gateway.pump import PumpWatcher
from mesh_gateway.tcp_stream import TcpStream, no_linger

_LARGE = 64 * 1024
"""Bytes that one copying read takes; a way whose reads fill it is spliced from then on."""

_SMALL = 16 * 1024
"""A way whose splices bring no more than this is copied again."""

_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
"""What a kernel says that does not splice these sockets, or a sandbox that does not let us."""

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK

# One for all ways of the process: between a read and the write after it nobody else has a turn.
_buffer = memoryview(bytearray(_LARGE))


class Splice:
    """Two TCP connections that were joined by `start`; what `Traffic` holds, like a `Pump`."""

    __slots__ = ("_alive", "_back", "_forth", "_gone", "_left", "_right", "_stalls", "_watcher")

    def __init__(
        self,
        left: socket.socket,
        right: socket.socket,
        *,
        early: tuple[bytes, bytes],
        pipes: Pipes,
        watcher: PumpWatcher,
    ) -> None:
        """`early` is what was already read from the left and from the right; it goes first."""
        self._left = left
        self._right = right
        self._forth = _Way(left, right, early=early[0], pipes=pipes, splice=self)
        self._back = _Way(right, left, early=early[1], pipes=pipes, splice=self)
        self._watcher = watcher
        self._alive = 2
        self._stalls = 0
        self._gone = False

    @property
    def unsent(self) -> int:
        """Bytes that wait in this process or its pipes, both ways."""
        return self._forth.unsent + self._back.unsent

    @property
    def carried(self) -> tuple[int, int]:
        """Bytes that went from left to right, and from right to left."""
        return self._forth.carried, self._back.carried

    def start(self) -> None:
        """Lets the bytes flow."""
        self._forth.start()
        if not self._gone:
            self._back.start()

    def abort(self) -> None:
        """Resets both."""
        if not self._gone:
            for side in (self._left, self._right):
                no_linger(side)
            self._close()

    def one_stalled(self) -> None:
        """One way holds bytes that it cannot send."""
        self._stalls += 1
        self._watcher.stalled(self, holds=WANTED)

    def one_flows(self) -> None:
        """It has sent them."""
        self._stalls -= 1
        if self._stalls == 0:
            self._watcher.flowing(self)

    def one_ended(self) -> None:
        """One way has come to its end, and said so to its sink."""
        self._alive -= 1
        if self._alive == 0:
            self._close()

    def _close(self) -> None:
        self._gone = True
        self._forth.stop()
        self._back.stop()
        self._left.close()
        self._right.close()
        self._watcher.finished(self, cleanly=self._alive == 0)


def spliced(
    left: TcpStream, right: TcpStream, *, first: bytes, pipes: Pipes, watcher: PumpWatcher
) -> Splice | None:
    """The two joined, `first` going from the left to the right before anything else; None when they cannot
    be, and then nothing has happened to them."""
    near = left.duplicate()
    if near is None:
        return None
    far = right.duplicate()
    if far is None:
        near.close()
        return None
    early = first + left.leave(), right.leave()
    return Splice(near, far, early=early, pipes=pipes, watcher=watcher)


class _Way:
    """Reads one socket and writes the other; only one of the two is waited for at a time."""

    __slots__ = (
        "_from",
        "_kept",
        "_loop",
        "_pipe",
        "_piped",
        "_pipes",
        "_read",
        "_receive",
        "_send",
        "_sink",
        "_splice",
        "_spliceable",
        "_to",
        "_waiting",
        "carried",
    )

    def __init__(
        self, source: socket.socket, sink: socket.socket, *, early: bytes, pipes: Pipes, splice: Splice
    ) -> None:
        self._sink = sink
        self._receive = source.recv_into
        self._send = sink.send
        self._from = source.fileno()
        self._to = sink.fileno()
        self._pipes = pipes
        self._splice = splice
        self._loop = asyncio.get_running_loop()
        self._kept = memoryview(early)  # copied bytes that go before anything that is read
        self._pipe: Pipe | None = None
        self._piped = 0
        self._spliceable = True
        self._read = self._copy
        self._waiting = False
        self.carried = 0

    @property
    def unsent(self) -> int:
        return len(self._kept) + self._piped

    def start(self) -> None:
        self._loop.add_reader(self._from, self._read)
        if self._kept:
            self._flush()

    def stop(self) -> None:
        """Waits for nothing any more."""
        self._loop.remove_reader(self._from)
        if self._waiting:
            self._loop.remove_writer(self._to)
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    # The source

    def _copy(self) -> None:
        """Socket to socket, through our buffer."""
        try:
            size = self._receive(_buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._splice.abort()
            return
        if not size:
            self._end()
            return
        if size == _LARGE and self._spliceable:
            self._change(self._move)
        try:
            sent = self._send(_buffer[:size])
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._splice.abort()
            return
        self.carried += sent
        if sent < size:
            self._kept = memoryview(bytes(_buffer[sent:size]))
            self._wait()

    def _move(self) -> None:
        """Socket to pipe to socket. A way that cannot is copied again; nothing was read then."""
        try:
            pipe = self._pipes.take()
        except OSError:
            self._change(self._copy)  # no descriptors now; perhaps there are some at the next large read
            return
        try:
            size = os.splice(self._from, pipe.entry, pipe.size, flags=_FLAGS)
        except OSError as error:
            self._pipes.give_back(pipe)
            self._not_moved(error)
            return
        if not size:
            # The end, as a rule; but Linux also says 0 when it got nothing out of a queue that is not empty
            # (urgent data, no memory) while the other side has ended already. Only a read tells for sure.
            self._pipes.give_back(pipe)
            self._change(self._copy)
            self._copy()
            return
        if size <= _SMALL:
            self._change(self._copy)
        self._pipe = pipe
        self._piped = size
        self._flush()

    def _not_moved(self, error: OSError) -> None:
        if isinstance(error, BlockingIOError | InterruptedError):
            return
        if error.errno in _UNSUPPORTED:
            self._spliceable = False
            self._change(self._copy)
        else:
            self._splice.abort()

    def _change(self, read: Callable[[], None]) -> None:
        self._read = read
        self._loop.add_reader(self._from, read)

    def _end(self) -> None:
        self._loop.remove_reader(self._from)
        try:
            self._sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._splice.abort()
        else:
            self._splice.one_ended()

    # The sink

    def _flush(self) -> None:
        """Sends what is kept, then what is in the pipe; waits for the sink when it takes no more."""
        try:
            while self._kept:
                sent = self._send(self._kept)
                self._kept = self._kept[sent:]
                self.carried += sent
            while self._piped:
                assert self._pipe is not None
                sent = os.splice(self._pipe.exit, self._to, self._piped, flags=_FLAGS)
                self._piped -= sent
                self.carried += sent
        except (BlockingIOError, InterruptedError):
            self._wait()
        except OSError:
            self._splice.abort()
        else:
            self._read_on()

    def _wait(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._loop.remove_reader(self._from)
            self._loop.add_writer(self._to, self._flush)
            self._splice.one_stalled()

    def _read_on(self) -> None:
        if self._pipe is not None:
            self._pipes.give_back(self._pipe)
            self._pipe = None
        if self._waiting:
            self._waiting = False
            self._loop.remove_writer(self._to)
            self._loop.add_reader(self._from, self._read)
            self._splice.one_flows()

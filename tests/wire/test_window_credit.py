"""When credit is given, and how much: the calls of `mux_incoming` as a sender over a long way feels them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_fakes.frame_audit import DATA, SYN, WINDOW, Frame
from mesh_fakes.session_pair import MESSAGE, Reading, Side
from mesh_gateway.session import SessionLimits

KIB = 1024
FIRST, LARGEST = 256 * KIB, 4096 * KIB
LONG = 0.05


class Receiver:
    """The called end of one stream whose reader takes everything; `window` is what its caller may have
    under way, as credit has made it."""

    def __init__(self, *, rtt: float, growth: int = 64 * LARGEST) -> None:
        self.side = Side(is_client=False, limits=SessionLimits(window=LARGEST), growth=growth)
        self.session = self.side.session
        self.session.rtt = rtt
        self.session.received(bytes(Frame(DATA, SYN, 1, len(MESSAGE), MESSAGE)))
        stream, message = self.side.asked.pop()
        assert message is not None
        stream.accept()
        stream.start(Reading())
        self.owed = len(MESSAGE)
        self.window = FIRST
        self.side.flush()

    def takes(self, size: int, *, after: float) -> int:
        """How much credit is given for so many bytes, so many seconds later."""
        self.session.now += after
        self.session.received(bytes(Frame(DATA, 0, 1, size, bytes(size))))
        credit = sum(frame.length for frame in self.side.flush() if frame.kind == WINDOW)
        self.owed += size
        if credit:
            self.window += credit - self.owed
            self.owed = 0
        return credit


@given(
    sizes=st.lists(st.integers(1, 64 * KIB), min_size=1, max_size=400),
    after=st.sampled_from([0.0, 0.001, 0.02, 1.0]),
)
def test_a_sender_far_away_always_has_most_of_its_window(sizes: list[int], after: float) -> None:
    receiver = Receiver(rtt=LONG)
    for size in sizes:
        before = receiver.window
        receiver.takes(size, after=after)
        assert receiver.owed < max(128 * KIB, receiver.window // 8), "the rest is given back"
        assert receiver.window in {before, 2 * before}
        assert receiver.window <= LARGEST


@pytest.mark.parametrize(
    ("window", "part"),
    [(256, 128), (512, 128), (1024, 128), (2048, 256), (4096, 512)],
)
@pytest.mark.parametrize(("rate", "grows"), [(1.1, True), (0.9, False)], ids=["quick", "not quick"])
def test_a_window_doubles_when_half_of_it_is_used_up_within_four_round_trips(
    window: int, part: int, rate: float, *, grows: bool
) -> None:
    receiver = Receiver(rtt=LONG)
    while receiver.window < window * KIB:
        receiver.takes(32 * KIB, after=0.0)
    assert receiver.window == window * KIB
    # Whatever is owed is given back slowly, so that the next part begins with nothing owed.
    while not receiver.takes(1 * KIB, after=10.0):
        pass
    assert receiver.window == window * KIB
    seconds = 4 * LONG * part / (window / 2) / rate  # for a part, at this multiple of the least quick rate
    given = [receiver.takes(KIB, after=seconds / part) for _ in range(part)]
    assert given[:-1] == [0] * (part - 1)
    assert receiver.window == (2 if grows and window * KIB < LARGEST else 1) * window * KIB


def test_windows_do_not_grow_beyond_what_all_may_have() -> None:
    receiver = Receiver(rtt=LONG, growth=3 * FIRST)
    for _ in range(400):
        receiver.takes(64 * KIB, after=0.0)
    assert receiver.window == 4 * FIRST
    assert receiver.side.budget.left == 0

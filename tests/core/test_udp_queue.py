"""What waits of a UDP flow: little, and nothing that is old (ruling 30)."""

from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.datagrams import LONGEST_DATAGRAM, framed
from mesh_gateway.udp_queue import LONGEST_WAIT, MOST_WAITING, DatagramQueue


def queue_of(*sizes: int) -> DatagramQueue:
    queue = DatagramQueue()
    for size in sizes:
        queue.put(bytes(size), now=0.0)
    return queue


def test_what_is_put_is_taken_in_order_and_nothing_is_left() -> None:
    queue = DatagramQueue()
    for frame in (b"one", b"two", b"three"):
        assert queue.put(frame, now=0.0) == 0
    assert (len(queue), queue.size) == (3, 11)
    assert queue.take() == b"onetwothree"
    assert (len(queue), queue.size, queue.take()) == (0, 0, b"")


def test_the_oldest_go_when_there_is_no_room() -> None:
    queue = queue_of(30_000, 30_000)
    assert queue.put(b"n" * 30_000, now=0.0) == 1
    assert queue.take() == bytes(30_000) + b"n" * 30_000


def test_the_longest_datagram_drives_out_all_others_and_has_room_itself() -> None:
    queue = queue_of(*[1000] * 60)
    longest = framed(b"x" * LONGEST_DATAGRAM)
    assert queue.put(longest, now=0.0) == 60
    assert queue.take() == longest


def test_what_waits_longer_than_200_ms_goes() -> None:
    queue = DatagramQueue()
    queue.put(b"old", now=10.0)
    queue.put(b"new", now=10.1)
    assert queue.expire(now=10.0 + LONGEST_WAIT) == 0
    assert queue.expire(now=10.25) == 1
    assert queue.take() == b"new"


_steps = st.lists(
    st.tuples(
        st.floats(0, 0.3), st.integers(0, LONGEST_DATAGRAM), st.sampled_from(["put", "expire", "take"])
    ),
    max_size=30,
)


@given(steps=_steps)
def test_the_youngest_stay_as_far_as_bound_and_age_allow(steps: list[tuple[float, int, str]]) -> None:
    """Against the obvious, slow way to say it: keep all, then cut off the oldest."""
    queue, now, waiting = DatagramQueue(), 0.0, list[tuple[float, bytes]]()
    for number, (pause, size, deed) in enumerate(steps):
        now += pause
        before = len(waiting)
        if deed == "put":
            frame = bytes([number % 256]) * (size + 2)
            waiting.append((now, frame))
            while sum(len(one) for _, one in waiting) > MOST_WAITING:
                waiting.pop(0)
            assert queue.put(frame, now=now) == before + 1 - len(waiting)
        elif deed == "expire":
            waiting = [(at, one) for at, one in waiting if now - at <= LONGEST_WAIT]
            assert queue.expire(now=now) == before - len(waiting)
        else:
            assert queue.take() == b"".join(one for _, one in waiting)
            waiting.clear()
        assert (len(queue), queue.size) == (len(waiting), sum(len(one) for _, one in waiting))
        assert queue.size <= MOST_WAITING

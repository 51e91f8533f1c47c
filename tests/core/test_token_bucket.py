"""How often something may happen."""

from hypothesis import given
from hypothesis import strategies as st

from mesh_core.token_bucket import TokenBucket, TokenBuckets


@given(times=st.lists(st.floats(0, 100), max_size=300), rate=st.integers(1, 10), burst=st.integers(1, 20))
def test_never_more_than_the_burst_and_the_rate_allow(times: list[float], rate: int, burst: int) -> None:
    bucket = TokenBucket(rate, burst)
    taken = [now for now in sorted(times) if bucket.take(now=now)]
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + (taken[last] - start) * rate + 1e-6


def test_a_full_bucket_gives_the_burst_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(5, 20)
    assert sum(bucket.take(now=0.0) for _ in range(50)) == 20
    assert sum(bucket.take(now=1.0) for _ in range(50)) == 5
    assert sum(bucket.take(now=1000.0) for _ in range(50)) == 20


def test_a_source_that_asks_too_much_takes_nothing_from_the_others() -> None:
    buckets = TokenBuckets(rate=1, burst=2, total_rate=5, total_burst=10)
    assert sum(buckets.take("loud", now=0.0) for _ in range(1000)) == 2
    assert [buckets.take(f"quiet-{number}", now=0.0) for number in range(8)] == [True] * 8
    assert not buckets.take("late", now=0.0)
    assert buckets.take("late", now=0.5)


def test_many_sources_are_bounded_together_and_their_memory_too() -> None:
    buckets = TokenBuckets(rate=1, burst=2, total_rate=5, total_burst=10, most=100)
    assert sum(buckets.take(f"10.0.{n >> 8}.{n & 255}", now=0.0) for n in range(5000)) == 10
    assert len(buckets) <= 100


def test_who_goes_on_is_remembered_while_others_come_and_go() -> None:
    buckets = TokenBuckets(rate=0, burst=30, total_rate=0, total_burst=10_000, most=100)
    taken = 0
    for number in range(1000):
        buckets.take(f"passer-by-{number}", now=0.0)
        if number % 20 == 0:
            taken += buckets.take("loud", now=0.0)
    assert taken == 30

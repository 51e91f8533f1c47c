"""Which cores gateways and which the rest may use, for works in which one must not starve the other.

Programs inherit the cores of whoever starts them, so ours are set for as long as something is started. On a
machine with one core nothing is set.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def apart() -> Iterator[None]:
    """What is started within has the second half of our cores."""
    with _on(_halves()[1]):
        yield


@contextmanager
def gateways_cores() -> Iterator[None]:
    """What is started within has the first half of the machine's cores."""
    with _on(_halves()[0]):
        yield


def _halves() -> tuple[set[int], set[int]]:
    cores = sorted(range(os.cpu_count() or 1))
    middle = len(cores) // 2
    return set(cores[:middle]) or set(cores), set(cores[middle:])


@contextmanager
def _on(cores: set[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

"""How the C library keeps the memory of large buffers: it should not give it back after each of them.

A read of 256 KiB is a buffer of its own. glibc maps such buffers afresh and unmaps them, or trims the heap,
and the kernel zeroes the pages every time: bulk through a pair of gateways took 2.3 to 2.7 s of CPU a GB with
glibc's settings and 1.8 to 2.3 with these.
"""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3  # malloc.h

_LARGEST = 32 * 1024 * 1024
"""Bytes; glibc takes no larger threshold for mapping."""


def keep_buffers() -> None:
    """Lets the process keep what its buffers took; does nothing where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST)
    mallopt(_M_TRIM_THRESHOLD, 4 * _LARGEST)
    mallopt(_M_TOP_PAD, _LARGEST // 2)

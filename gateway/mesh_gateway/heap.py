"""How the process keeps its memory: large buffers are not given back after each use, and the collector of
cyclic garbage does not look through what stays for ever.

1. A read of 256 KiB is a buffer of its own. glibc maps such buffers afresh and unmaps them, or trims the
   heap, and the kernel zeroes the pages every time: bulk through a pair of gateways took 2.3 to 2.7 s of CPU
   a GB with glibc's settings and 1.8 to 2.3 with these.
2. Streams free their memory by reference counts: whoever ends lets go of the others. Looking for cycles among
   all that was imported took a seventh of the egress half's time at 2,000 new connections a second.
"""

import ctypes
import gc

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3  # malloc.h

_ALLOCATIONS = 50_000
"""More objects made than freed before the collector looks at the youngest: some thousand streams."""

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


def keep_objects() -> None:
    """Takes what there is now for what stays: the collector looks no more at it, and seldom at the rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 50)

"""JSON nested deeper than anybody reads: an API server takes 10,000 levels, a decoder here some hundreds.

Where a kind takes whatever somebody writes into it (a Work's manifests), one such object must not end who
watches the others. So what lies too deep is cut out, and an object that something was cut out of counts as
one that cannot be read.
"""

import re
from typing import Final

MOST_LEVELS: Final = 200
CUT: Final = b'"\\u0000too deep"'
"""Stands where something was cut out."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)


def shallow(raw: bytes) -> bytes:
    """`raw` with `CUT` in place of every value below `MOST_LEVELS`; in time linear to its length."""
    kept: list[bytes] = []
    level = start = 0
    for found in _TOKEN.finditer(raw):
        match found[0]:
            case b"{" | b"[":
                level += 1
                if level == MOST_LEVELS + 1:
                    kept += (raw[start : found.start()], CUT)
            case b"}" | b"]":
                level -= 1
                if level == MOST_LEVELS:
                    start = found.end()
    kept.append(raw[start:] if level <= MOST_LEVELS else b"")
    return b"".join(kept)

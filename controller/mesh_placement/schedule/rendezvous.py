"""Who comes first among equals: by a hash of the placement's UID and the cluster, never by a name.

So not every placement of a fleet begins with the same cluster, and each begins with the same one every time.
"""

import hashlib


def tie(uid: str, cluster: str) -> int:
    """The smaller one comes first."""
    return int.from_bytes(hashlib.blake2b(f"{uid}|{cluster}".encode(), digest_size=8).digest())

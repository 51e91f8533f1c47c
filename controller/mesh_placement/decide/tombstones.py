"""Tombstones: what the hub remembers of a cluster that it let go without its agent's word.

The key is the UID of the registration, so that a later cluster of the same name is not meant. An agent that
comes back and is refused finds its own UID there, and only then knows that it was meant.
"""

from collections.abc import Mapping

import msgspec

from mesh_placement.objects import Tombstone

MOST = 2000
"""Tombstones in the ConfigMap: with this many it stays well below a mebibyte."""
_MOST_RESIDUE = 10
_LONGEST_NAME = 63


def tombstone_text(stone: Tombstone) -> str:
    """The entry's value; of a long residue the first few names are kept, and how many more there are."""
    residue = stone.residue
    kept = tuple(one[:_LONGEST_NAME] for one in residue[:_MOST_RESIDUE])
    if len(residue) > _MOST_RESIDUE:
        kept += (f"and {len(residue) - _MOST_RESIDUE} more",)
    return msgspec.json.encode(msgspec.structs.replace(stone, residue=kept)).decode()


def read_tombstone(entries: Mapping[str, str], *, uid: str) -> Tombstone | None:
    """The tombstone of that registration; an entry that cannot be read is none: it proves nothing."""
    text = entries.get(uid) if uid else None
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Tombstone)
    except msgspec.DecodeError:
        return None


def worn(entries: Mapping[str, str]) -> tuple[str, ...]:
    """The UIDs of the oldest entries that make room for one more; unreadable ones are the oldest."""
    found = {uid: read_tombstone(entries, uid=uid) for uid in entries}
    by_age = sorted(found, key=lambda uid: (stone.at if (stone := found[uid]) else "", uid))
    return tuple(by_age[: max(0, len(by_age) - MOST + 1)])

"""Manifests into Works that etcd and the API server take: at most `LARGEST` bytes each."""

from collections.abc import Sequence

import msgspec

from mesh_core.errors import UserError
from mesh_placement.decide.manifests import Named, named
from mesh_placement.decide.ranks import WORKLOADS, rank_of_kind
from mesh_placement.objects import Manifest

LARGEST = 900 * 1024
"""Bytes of a Work's manifests as JSON; etcd takes 1.5 MiB, and status and metadata want their share."""


class TooLarge(UserError):
    """One object alone is more than a Work can hold."""

    def __init__(self, what: str, *, size: int) -> None:
        super().__init__(
            f"{what} has {size} bytes; a Work holds at most {LARGEST}",
            next_step="make it smaller, or bring it to the member in another way",
        )


def split_work(name: str, manifests: Sequence[Manifest]) -> tuple[tuple[str, tuple[Manifest, ...]], ...]:
    """(name, manifests) of each Work: one called `name` when all fit, else `<name>-part-1` and so on.

    They are cut in the order in which they are applied, so that an Assignment's parts hardly wait for one
    another; within a rank the given order stays. Raises TooLarge for an object that fits into no Work.
    """
    parts: list[list[Manifest]] = [[]]
    room = LARGEST
    for manifest in sorted(manifests, key=_rank):
        size = len(msgspec.json.encode(manifest)) + 1
        if size > LARGEST:
            one = named(manifest)
            raise TooLarge(str(one) if isinstance(one, Named) else "a manifest", size=size)
        if size > room:
            parts.append([])
            room = LARGEST
        parts[-1].append(manifest)
        room -= size
    if len(parts) == 1:
        return ((name, tuple(manifests)),)
    return tuple((f"{name}-part-{number}", tuple(part)) for number, part in enumerate(parts, 1))


def _rank(manifest: Manifest) -> int:
    one = named(manifest)
    return rank_of_kind(one.group, one.kind) if isinstance(one, Named) else WORKLOADS

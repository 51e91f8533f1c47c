"""The newest copy that witnesses have, whole.

A witness that lets us wait is asked last from then on: what it has others have as well.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from mesh_core.errors import EnvironmentFault, MeshError
from mesh_core.plan import Json
from mesh_placement.decide.hub_copy import Index, UnreadableCopy, in_order, objects_in
from mesh_placement.hub.floating.store import CopyStore
from mesh_runtime.log import logger
from mesh_runtime.side_by_side import side_by_side

_log = logger(__name__)
_AT_ONCE: Final = 8
_PATIENCE: Final = 3.0
"""Seconds for one answer, while others can be asked; who is alone in having it has what a request has."""


class CopyUnknown(EnvironmentFault):
    """What the last leader left is not all known, so nobody may go on from it."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the copy of the last leader cannot be read ({why})",
            next_step="nothing, while witnesses come back; else restore the hub from a backup",
        )


async def newest_copy(stores: Sequence[CopyStore], *, held: Sequence[str]) -> tuple[Index, list[Json]] | None:
    """Index and objects; None where no leader has left one. `held` are the witnesses of our majority: each of
    them has to answer, since any of them may be the only one that has it. Raises CopyUnknown."""
    indexes: dict[str, Index] = {}
    spoilt: list[str] = []
    for store in stores:
        try:
            index, _ = await store.index()
        except UnreadableCopy as error:
            _log.warning("a witness has an index of nobody's", witness=store.witness, why=str(error))
            spoilt.append(store.witness)
        except MeshError as error:
            if store.witness in held:
                raise CopyUnknown(f"witness {store.witness}: {error}") from error
        else:
            if index is not None:
                indexes[store.witness] = index
    if not indexes:
        if spoilt:
            raise CopyUnknown(f"nobody's index lies in {', '.join(spoilt)}")
        return None
    newest = max(indexes.values(), key=lambda one: one.age)
    having = [one for one in stores if one.witness in indexes and indexes[one.witness].age == newest.age]
    return newest, await _objects(newest, having=having, others=[one for one in stores if one not in having])


async def _objects(index: Index, *, having: Sequence[CopyStore], others: Sequence[CopyStore]) -> list[Json]:
    """A piece is the same wherever it lies."""
    late: set[str] = set()

    async def piece(name: str) -> bytes:
        why = ""
        ordered = sorted((*having, *others), key=lambda one: one.witness in late)
        for store, limit in (*((one, _PATIENCE) for one in ordered), *((one, None) for one in ordered)):
            try:
                async with asyncio.timeout(limit):
                    return await store.piece(name)
            except (UnreadableCopy, MeshError, TimeoutError) as error:
                if isinstance(error, TimeoutError):
                    late.add(store.witness)
                why = f"witness {store.witness}: {str(error) or 'no answer in time'}"
        raise CopyUnknown(why)

    names = [name for each in index.pieces.values() for name in each]
    found = await side_by_side((piece(name) for name in names), at_once=_AT_ONCE)
    raw = dict(zip(names, found, strict=True))
    try:
        buckets = {
            bucket: objects_in(raw[name] for name in pieces) for bucket, pieces in index.pieces.items()
        }
    except UnreadableCopy as error:
        raise CopyUnknown(str(error)) from error
    return in_order(buckets)

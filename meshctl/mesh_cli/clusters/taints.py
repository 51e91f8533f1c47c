"""Taints of a cluster as a person writes them, and the lists that come of it. Pure.

A taint is told apart by key and effect, as on nodes.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import get_args

from msgspec import structs

from mesh_cli.clusters.one import Patch
from mesh_core.conditions import rfc3339
from mesh_core.errors import UserError
from mesh_placement.names import TAINT_DRAIN
from mesh_placement.objects import Effect, Taint

DRAIN = Taint(key=TAINT_DRAIN, effect="NoExecute")
"""Nothing new comes, and what is there moves away."""

EFFECTS: tuple[Effect, ...] = get_args(Effect)
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


class BadTaint(UserError):
    """What was given is no taint."""

    def __init__(self, text: str, *, form: str) -> None:
        super().__init__(
            f"{text[:80]!r} is no taint",
            next_step=f"write {form}, with an effect of {', '.join(EFFECTS)}",
        )


def parse_taint(text: str) -> Taint:
    """key=value:Effect or key:Effect; raises BadTaint."""
    named, _, effect = text.rpartition(":")
    key, _, value = named.partition("=")
    known = next((one for one in EFFECTS if one == effect), None)
    if known is None or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
        raise BadTaint(text, form="key=value:Effect or key:Effect")
    return Taint(key=key, value=value, effect=known)


def parse_removal(text: str) -> tuple[str, Effect | None]:
    """key, or key:Effect, where None is every effect; a dash behind it, as kubectl has it, is taken.

    Raises BadTaint.
    """
    key, colon, effect = text.removesuffix("-").partition(":")
    key = key.partition("=")[0]
    known = next((one for one in EFFECTS if one == effect), None)
    if not _KEY.fullmatch(key) or (colon and known is None):
        raise BadTaint(text, form="key or key:Effect")
    return key, known


def with_taints(before: Sequence[Taint], *, added: Iterable[Taint], now: datetime) -> tuple[Taint, ...]:
    """With each of `added`, which takes the place of one with its key and effect.

    One that drives out is there since `now`, from when tolerations count; the same one again since it came.
    """
    taints = {(one.key, one.effect): one for one in before}
    for one in added:
        old = taints.get((one.key, one.effect))
        since = rfc3339(now) if one.effect == "NoExecute" else ""
        if old is not None and old.value == one.value:
            since = old.time_added
        taints[one.key, one.effect] = structs.replace(one, time_added=since)
    return tuple(taints.values())


def without_taints(
    before: Sequence[Taint], *, removed: Iterable[tuple[str, Effect | None]]
) -> tuple[Taint, ...]:
    """Without those that `removed` names."""
    gone = tuple(removed)
    return tuple(
        one
        for one in before
        if not any(key == one.key and effect in (None, one.effect) for key, effect in gone)
    )


def taints_patch(before: Sequence[Taint], after: Sequence[Taint]) -> Patch:
    """What is written so that `before` becomes `after`; {} for nothing."""
    if tuple(before) == tuple(after):
        return {}
    bodies = [
        {"key": one.key, "effect": one.effect}
        | ({"value": one.value} if one.value else {})
        | ({"timeAdded": one.time_added} if one.time_added else {})
        for one in after
    ]
    return {"spec": {"taints": bodies}}

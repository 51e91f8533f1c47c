"""The inventory: what a Work has brought to the member, by its AppliedWork.

It is written before anything is applied, so that no crash leaves an object that nobody remembers. While an
AppliedWork is new, what is intended stands in an annotation, because that needs one write and not two; from
its first status on, the status alone counts. A resource without uid may not have been applied, or its
answer may have been lost: such an object is ours only if it carries our label.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from mesh_placement.decide.ranks import rank_of_resource
from mesh_placement.names import ANNOTATION_INTENDED
from mesh_placement.objects import AppliedResource, AppliedWork

LARGEST_ANNOTATION = 128 * 1024
"""Bytes; the API server takes 256 KiB of all annotations of an object."""

_Resources = tuple[AppliedResource, ...]


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """An object of the member in whatever version; `group` "" is core, `resource` the plural."""

    group: str
    resource: str
    namespace: str
    name: str

    @property
    def rank(self) -> int:
        """Of its kind."""
        return rank_of_resource(self.group, self.resource)

    def __str__(self) -> str:
        return "/".join(part for part in (self.resource, self.namespace, self.name) if part)


def ref_of(one: AppliedResource) -> Ref:
    """Which object an entry means."""
    return Ref(one.group, one.resource, one.namespace, one.name)


def inventory_of(applied: AppliedWork | None) -> dict[Ref, AppliedResource]:
    """All that it may have brought, one entry an object."""
    if applied is None:
        return {}
    listed = applied.status.applied_resources
    if not listed:
        listed = _intended(applied.metadata.annotations)
    return {ref_of(one): one for one in listed}


def in_order(resources: Iterable[AppliedResource]) -> _Resources:
    """As an inventory is written."""
    return tuple(sorted(resources, key=ref_of))


def as_annotation(resources: Iterable[AppliedResource]) -> str:
    """What is intended, for `ANNOTATION_INTENDED`."""
    return msgspec.json.encode(in_order(resources)).decode()


def ranks_backwards(held: Mapping[Ref, AppliedResource]) -> list[tuple[int, _Resources]]:
    """(rank, entries), from the last rank to the first: the order of deletion."""
    ranks = sorted({ref.rank for ref in held}, reverse=True)
    return [(rank, in_order(one for ref, one in held.items() if ref.rank == rank)) for rank in ranks]


def _intended(annotations: Mapping[str, str]) -> _Resources:
    try:
        return msgspec.json.decode(annotations.get(ANNOTATION_INTENDED, "[]"), type=_Resources)
    except msgspec.DecodeError:
        # Somebody wrote into it. What we applied carries our label and is found by it when it is in the way.
        return ()

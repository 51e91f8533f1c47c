"""In which order a member deletes all that Works have brought: last rank first, whatever Work it is of."""

from collections.abc import Iterable
from dataclasses import dataclass

from mesh_placement.decide.inventory import Ref, inventory_of, ref_of
from mesh_placement.names import ANNOTATION_ACCOUNT
from mesh_placement.objects import AppliedResource, AppliedWork


@dataclass(frozen=True, slots=True)
class Applied:
    """One object of an inventory, and the user as whom it was applied ("": by default)."""

    what: AppliedResource
    account: str

    @property
    def ref(self) -> Ref:
        """Which object it is."""
        return ref_of(self.what)


def clearing_batches(works: Iterable[AppliedWork]) -> tuple[tuple[Applied, ...], ...]:
    """All that the inventories name, in order; a batch goes when the one before it has gone.

    An object of several inventories is there once for each UID that they know it by.
    """
    found = {
        (ref, one.uid): Applied(one, work.metadata.annotations.get(ANNOTATION_ACCOUNT, ""))
        for work in sorted(works, key=lambda work: work.metadata.name)
        for ref, one in inventory_of(work).items()
    }
    ordered = [found[key] for key in sorted(found)]
    ranks = sorted({one.ref.rank for one in ordered}, reverse=True)
    return tuple(tuple(one for one in ordered if one.ref.rank == rank) for rank in ranks)

"""What is remembered of each object between two passes, so that a pass that changes nothing asks nothing.

It is a memory only: lost with the process, it is made anew by applying everything once more, which changes
nothing in the member.
"""

from collections import OrderedDict
from dataclasses import dataclass

from mesh_placement.decide.inventory import Ref
from mesh_placement.decide.work_status import ObjectState
from mesh_placement.deliver.seen import Seen

_MOST_GONE = 4096
_MOST_NAMED = 5


@dataclass(slots=True)
class Applied:
    """We applied it: `digest` of manifest and account, the object as last seen, and what was ours after it.

    `left` is what somebody else keeps with our consent (replicas), as it is shown.
    """

    digest: str
    seen: Seen
    mark: str
    left: str = ""

    @property
    def drift(self) -> str:
        """Who took fields of ours since, "" when nobody did."""
        if self.seen.mark == self.mark:
            return ""
        return f"changed by {', '.join(self.seen.others[:_MOST_NAMED]) or 'somebody'}"


@dataclass(slots=True)
class Failed:
    """It could not be applied: not tried again before `until`, or before something about it changes."""

    digest: str
    state: ObjectState
    until: float
    owners: tuple[str, ...] = ()


class Book:
    """Memories by object."""

    def __init__(self) -> None:
        self.applied: dict[Ref, Applied] = {}
        self.failed: dict[Ref, Failed] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()  # uids, for answers that come after the end

    def note_applied(self, ref: Ref, memo: Applied) -> None:
        """Our apply was answered."""
        self.failed.pop(ref, None)
        if memo.seen.metadata.uid in self._gone:
            return
        self.applied[ref] = memo

    def note_failed(self, ref: Ref, failure: Failed) -> None:
        """Our apply was refused."""
        self.failed[ref] = failure

    def note_change(self, ref: Ref, new: Seen | None, *, uid: str = "") -> None:
        """A watch has seen it."""
        memo = self.applied.get(ref)
        if new is None:
            if memo is not None and (not uid or memo.seen.metadata.uid == uid):
                del self.applied[ref]
            if uid:
                self._gone[uid] = None
                if len(self._gone) > _MOST_GONE:
                    self._gone.popitem(last=False)
            self.failed.pop(ref, None)
            return
        failure = self.failed.get(ref)
        if failure is not None and failure.owners and failure.owners != new.owners:
            del self.failed[ref]
        if memo is not None and not new.is_older_than(memo.seen):
            memo.seen = new

    def forget(self, ref: Ref) -> None:
        """It is ours no more."""
        self.applied.pop(ref, None)
        self.failed.pop(ref, None)

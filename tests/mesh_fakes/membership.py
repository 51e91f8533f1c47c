"""A membership that a test changes at will."""

from mesh_core.membership import Membership
from mesh_runtime.latest import Latest


class FakeMembership:
    """What `MembershipSource` would read."""

    def __init__(self, membership: Membership | None = None) -> None:
        self._latest: Latest[Membership] = Latest()
        self._latest.publish(membership)
        self.why_not = "this test is no member; nothing to do"

    @property
    def current(self) -> Membership | None:
        return self._latest.value

    async def after(self, seen: Membership | None) -> Membership | None:
        return await self._latest.after(seen)

    def become(self, membership: Membership | None) -> None:
        """From now on, this."""
        self._latest.publish(membership)

"""What `check` sees of a placement hub: its members, its Placements and its own program, as values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HubMember:
    """A registration: its phase, and the condition Ready as the hub wrote it (`since` is RFC 3339).

    `agent` is the version of the agent, "" before it has come; `leaving` is since when it is on its way out,
    "" where it is not.
    """

    name: str
    accepted: bool = True
    phase: str = "Ready"
    is_ready: bool = True
    why: str = ""
    since: str = ""
    agent: str = ""
    leaving: str = ""


@dataclass(frozen=True, slots=True)
class HubPlacement:
    """A Placement of which something is not as it should be: one condition, as the hub wrote it."""

    namespace: str
    name: str
    why: str
    since: str = ""


@dataclass(frozen=True, slots=True)
class HubSeen:
    """A hub. `pods` are (ready, wanted) of its Deployment, None where it has none; `led` is when its leader
    last said that it leads, RFC 3339; `placements` is how many there are, `troubled` those with a trouble."""

    members: tuple[HubMember, ...] = ()
    placements: int = 0
    troubled: tuple[HubPlacement, ...] = ()
    pods: tuple[int, int] | None = None
    led: str = ""

    @property
    def is_one(self) -> bool:
        """Whether anything says that the cluster is a hub; a member has the kinds, too."""
        return bool(self.members or self.placements) or self.pods is not None

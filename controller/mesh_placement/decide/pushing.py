"""Whether the hub delivers to a member by itself, and how that is shown."""

from typing import Final

from mesh_core.conditions import truth
from mesh_core.objects import Condition
from mesh_placement.objects import ClusterRegistration

PUSHED: Final = "Pushed"
_REACHED_PHASES: Final = ("Joined", "Available", "Ready", "Suspect", "Unreachable")


def must_push(registration: ClusterRegistration) -> bool:
    """Push is wanted, the cluster is in and has not left, and the agent has stopped or is lost."""
    status = registration.status
    is_in = status.phase in _REACHED_PHASES or (status.phase == "Leaving" and not status.agent.cleared)
    if registration.spec.distribution != "Push" or not registration.spec.accepted or not is_in:
        return False
    return bool(status.namespace) and (not status.agent.applies or status.lost_since is not None)


def pushed(*, is_pushed: bool) -> Condition:
    """What the agent looks at before it applies again."""
    if is_pushed:
        return Condition(
            type=PUSHED, status=truth(True), reason="ByHub", message="the hub applies Works by itself"
        )
    return Condition(
        type=PUSHED, status=truth(False), reason="ByAgent", message="the hub applies nothing here"
    )


def may_pull(registration: ClusterRegistration) -> bool:
    """Whether the agent may apply: Pull is wanted, and the hub has stopped."""
    is_pushed = any(one.type == PUSHED and one.status == "True" for one in registration.status.conditions)
    return registration.spec.distribution == "Pull" and not is_pushed

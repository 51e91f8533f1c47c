"""Whether the agent of a cluster that leaves is heard: by its Lease, as for every other member."""

from mesh_placement.decide.heart import Heart, Pulse, pulse_of
from mesh_placement.decide.leaving_facts import Voice
from mesh_placement.decide.phase import is_joined
from mesh_placement.objects import ClusterRegistration


def voice_of(registration: ClusterRegistration, *, heart: Heart) -> Voice:
    """HEARD until its Lease was missed as often as makes it Unreachable; NEVER where it has never renewed."""
    status = registration.status
    pulse = pulse_of(
        heart,
        times=registration.spec.lease,
        joined=is_joined(status) or bool(status.agent.agent_version),
        lost=status.lost_since is not None,
    )
    match pulse:
        case Pulse.NEVER:
            return Voice.NEVER
        case Pulse.LOST:
            return Voice.SILENT
        case _:
            return Voice.HEARD

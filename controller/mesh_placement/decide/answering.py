"""What a provider does next for a ClusterClaim: one step at a time, each seen again before the next.

1. It begins when the hub has taken the claim up (its finalizer is there), and puts its own finalizer on
   before it makes anything: whatever was made, somebody is there to destroy it.
2. It destroys only when the claim is being deleted, the hub's finalizer is off and no registration by this
   claim is left. What it destroys is what it made for the claim's UID; a claim made anew has another one.
3. A cluster that was sent away by its registration is not registered again.
"""

from enum import Enum

from mesh_placement.decide.claim_life import answers
from mesh_placement.names import CLAIM_FINALIZER, PROVIDER_FINALIZER
from mesh_placement.objects import ClusterClaim, ClusterRegistration


class Step(Enum):
    """What is next."""

    NOTHING = "nothing"
    HOLD = "put the provider's finalizer on"
    CREATE = "make the cluster"
    SCALE = "change the number of its nodes"
    REGISTER = "register it"
    RUNNING = "say that it runs"
    DESTROY = "destroy it, then take the finalizer off"


def next_step(claim: ClusterClaim, *, registration: ClusterRegistration | None, nodes: int | None) -> Step:
    """`registration` is the one of that name, whoever made it; `nodes` how many the provider's cluster for
    this claim has, None where there is no such cluster, or it does not run."""
    holds = PROVIDER_FINALIZER in claim.metadata.finalizers
    came = answers(registration, claim)
    is_taken_up = CLAIM_FINALIZER in claim.metadata.finalizers
    if claim.metadata.deletion_timestamp is not None:
        return Step.DESTROY if holds and not is_taken_up and not came else Step.NOTHING
    if not is_taken_up or (claim.status.registration and not came):
        return Step.NOTHING
    if registration is not None and not came:
        return Step.NOTHING  # the name is somebody else's; the hub says so
    if not holds:
        return Step.HOLD
    if nodes is None:
        return Step.CREATE
    if nodes != claim.spec.nodes:
        return Step.SCALE
    return Step.RUNNING if came else Step.REGISTER

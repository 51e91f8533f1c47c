"""Placements that cannot be placed anywhere, whatever the clusters are: for what they bring."""

from dataclasses import dataclass
from enum import StrEnum

from mesh_placement.decide.fence_times import why_no_fence
from mesh_placement.decide.manifests import Refusal, named, refusal_of
from mesh_placement.decide.splitting import TooLarge, split_work
from mesh_placement.objects import Placement, PlacementSpec


class PlacementReason(StrEnum):
    """The closed list of reasons in a Placement's conditions."""

    SCHEDULED = "Scheduled"
    SHORT = "ReplicasWithoutPlace"
    NO_CLUSTER = "NoClusterFits"
    HELD = "Held"
    NOT_DECIDED = "NotDecidedYet"
    RUNS_ON_HUB = "TemplateWouldRunOnHub"
    SECRET = "SecretInPlacement"
    INVALID = "InvalidManifest"
    TOO_LARGE = "ManifestTooLarge"
    FENCE = "CannotFence"
    TOO_MANY = "TooManyPlacements"
    NAME_TAKEN = "NameTaken"
    APPLIED = "Applied"
    WAITING = "Waiting"
    FAILED = "Failed"
    ROLLING_OUT = "RollingOut"
    ROLLOUT_STOPPED = "RolloutStopped"
    NOWHERE = "NotPlaced"
    REMOVING = "Removing"
    BROUGHT = "Brought"
    NOT_ON_HUB = "NotOnHub"
    MAY_NOT_READ = "MayNotRead"
    TOO_MUCH = "TooMuch"
    VERIFIED = "Verified"
    CALLS_FAIL = "CallsFail"
    NOT_VERIFIED = "NotVerifiedYet"
    NOTHING_SELECTED = "NothingSelected"


@dataclass(frozen=True, slots=True)
class PlacementRefusal:
    """Why, and what to do about it."""

    reason: PlacementReason
    message: str


def refusal_of_placement(spec: PlacementSpec, *, dedicated: bool = False) -> PlacementRefusal | None:
    """The first thing that is wrong, or None; `dedicated`: somebody says that this hub runs no workloads."""
    if spec.resource_selectors and not dedicated:
        return PlacementRefusal(
            PlacementReason.RUNS_ON_HUB,
            "this hub runs workloads itself, so a template in it would run here too; put the objects into "
            "spec.manifests and leave spec.resourceSelectors out, or make it a hub that runs none "
            "(docs/placement.md)",
        )
    for number, selector in enumerate(spec.resource_selectors):
        if (selector.api_version, selector.kind) == ("v1", "Secret"):
            return PlacementRefusal(
                PlacementReason.SECRET,
                f"spec.resourceSelectors[{number}]: a Secret is no template; with dependencies: Auto "
                "those that templates name come along",
            )
    for number, manifest in enumerate(spec.manifests):
        one = named(manifest)
        if isinstance(one, Refusal):
            return PlacementRefusal(PlacementReason.INVALID, f"spec.manifests[{number}]: {one.message}")
        if (one.group, one.kind) == ("", "Secret"):
            return PlacementRefusal(
                PlacementReason.SECRET,
                f"spec.manifests[{number}]: {one} would lie open here for whoever reads Placements; "
                "bring it to the members in another way (docs/placement.md)",
            )
        refusal = refusal_of(one)
        if refusal is not None:
            return PlacementRefusal(PlacementReason.INVALID, f"spec.manifests[{number}]: {refusal.message}")
    if message := why_no_fence(spec):
        return PlacementRefusal(PlacementReason.FENCE, message)
    try:
        split_work("any", spec.manifests)
    except TooLarge as error:
        return PlacementRefusal(PlacementReason.TOO_LARGE, str(error))
    return None


def takes_part(placement: Placement, *, dedicated: bool = False) -> bool:
    """Whether it is scheduled. One that is placed and became wrong keeps its room."""
    if placement.metadata.deletion_timestamp is not None:
        return bool(placement.status.clusters)
    return bool(placement.status.clusters) or (
        refusal_of_placement(placement.spec, dedicated=dedicated) is None
    )

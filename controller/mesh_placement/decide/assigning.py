"""What a Placement gives to one member: an Assignment and its Works, in the member's namespace on the hub.

1. The Works are the same in every cluster; what differs there (replicas, overrides) is in the Assignment.
2. Assignment and Works carry one revision: a member applies Works only with the Assignment of theirs.
3. A share is the count of each workload that has one, as `schedule.demand` counts it; where each cluster gets
   all of it the manifests say how many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from mesh_core.plan import Json
from mesh_placement.decide.fence_times import fence_after
from mesh_placement.decide.manifests import digest
from mesh_placement.decide.splitting import split_work
from mesh_placement.names import (
    ANNOTATION_DIGEST,
    ANNOTATION_REVISION,
    LABEL_ASSIGNMENT,
    LABEL_PLACEMENT,
    placed_name,
)
from mesh_placement.objects import (
    AssignmentSpec,
    Interpretation,
    Manifest,
    NamespacedName,
    Override,
    Placement,
    ServiceAccountRef,
)


@dataclass(frozen=True, slots=True)
class Target:
    """A member: its id, its namespace on the hub, its properties."""

    cluster: str
    namespace: str
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PlannedWork:
    """A Work, the same for all members; `digest` is of its manifests."""

    name: str
    manifests: tuple[Manifest, ...]
    digest: str


def name_of(placement: Placement) -> str:
    """Of its Assignments, and of the first of its Works."""
    return placed_name(placement.metadata.namespace, name=placement.metadata.name)


def planned_works(placement: Placement) -> tuple[PlannedWork, ...]:
    """Its Works; raises TooLarge."""
    return tuple(
        PlannedWork(name, manifests, digest({"manifests": list(manifests)}))
        for name, manifests in split_work(name_of(placement), placement.spec.manifests)
    )


def work_body(work: PlannedWork, *, placement: Placement, target: Target, revision: int) -> Json:
    """A Work as it is written."""
    name = name_of(placement)
    return {
        "metadata": {
            "name": work.name,
            "namespace": target.namespace,
            "labels": {LABEL_ASSIGNMENT: name, LABEL_PLACEMENT: name},
            "annotations": {ANNOTATION_REVISION: str(revision), ANNOTATION_DIGEST: work.digest},
        },
        "spec": {"workload": {"manifests": list(work.manifests)}},
    }


def assignment_body(spec: AssignmentSpec, *, placement: Placement, target: Target) -> Json:
    """An Assignment as it is written."""
    name = name_of(placement)
    return {
        "metadata": {"name": name, "namespace": target.namespace, "labels": {LABEL_PLACEMENT: name}},
        "spec": msgspec.to_builtins(spec),
    }


def assignment_spec(
    placement: Placement,
    *,
    target: Target,
    works: Sequence[PlannedWork],
    replicas: int | None,
    revision: int,
    secrets: Sequence[str] = (),
    interpretations: Sequence[Interpretation] = (),
) -> AssignmentSpec:
    """What it says; `replicas` is the cluster's share, None where the manifests say it. `secrets` travel
    beside the Works, `interpretations` are of the kinds in them."""
    meta, spec = placement.metadata, placement.spec
    is_shared = spec.replicas.policy == "Divide" or spec.replicas.count is not None
    calls = tuple(
        dict.fromkeys(f"{need.namespace or meta.namespace}/{need.name}" for need in spec.require.services)
    )
    account = ServiceAccountRef(name=spec.service_account, namespace=meta.namespace)
    return AssignmentSpec(
        placement_ref=NamespacedName(name=meta.name, namespace=meta.namespace),
        revision=revision,
        replicas=replicas if is_shared else None,
        works=tuple(one.name for one in works),
        secrets=tuple(secrets),
        service_imports=calls,
        calls=calls,
        service_account=account if spec.service_account else ServiceAccountRef(),
        interpretations=tuple(interpretations),
        overrides=_overrides(placement, target=target),
        take_over=spec.take_over,
        purge=spec.failover.purge,
        fence_after_seconds=fence_after(spec),
    )


def _overrides(placement: Placement, *, target: Target) -> tuple[Override, ...]:
    return tuple(
        Override(patch=one.patch, kind=one.kind, name=one.name)
        for one in placement.spec.overrides
        if (not one.clusters or target.cluster in one.clusters)
        and one.match_properties.items() <= target.properties.items()
    )

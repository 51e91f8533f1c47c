"""Whether the programs run, and why not."""

import pytest

from mesh_cli.install.rollout import (
    ContainerState,
    ContainerStatus,
    Pod,
    PodStatus,
    Waiting,
    has_rolled_out,
    readiness,
    summary,
    troubles,
)
from mesh_core.objects import Deployment, Meta
from mesh_core.objects.platform import DeploymentSpec, DeploymentStatus


def deployment(
    *, generation: int = 1, observed: int = 1, updated: int, available: int, all_: int
) -> Deployment:
    return Deployment(
        metadata=Meta(name="d", generation=generation),
        spec=DeploymentSpec(replicas=2),
        status=DeploymentStatus(
            observed_generation=observed,
            replicas=all_,
            updated_replicas=updated,
            available_replicas=available,
        ),
    )


@pytest.mark.parametrize(
    ("found", "count", "done"),
    [
        (None, (0, 0), False),
        (deployment(updated=2, available=2, all_=2), (2, 2), True),
        (deployment(updated=2, available=1, all_=2), (1, 2), False),
        (deployment(updated=1, available=2, all_=3), (1, 2), False),
        (deployment(updated=2, available=3, all_=3), (2, 2), False),
        (deployment(generation=2, updated=2, available=2, all_=2), (0, 2), False),
    ],
    ids=["missing", "all", "one starts", "mid-way", "an old pod is left", "not looked at yet"],
)
def test_a_program_runs_when_all_its_pods_are_new_and_available(
    found: Deployment | None, count: tuple[int, int], done: bool
) -> None:
    assert readiness(found) == count
    assert has_rolled_out(found) is done


def test_the_summary_counts_each_program_in_its_order() -> None:
    found = summary([deployment(updated=2, available=1, all_=2), None, None])
    assert found == "meshctl-controller 1/2, meshctl-gateway 0/0, meshctl-dns 0/0"


def pod(name: str, *statuses: ContainerStatus, phase: str = "Pending") -> Pod:
    return Pod(metadata=Meta(name=name), status=PodStatus(phase=phase, container_statuses=statuses))


def waiting(reason: str, message: str = "") -> ContainerStatus:
    return ContainerStatus(state=ContainerState(waiting=Waiting(reason=reason, message=message)))


def test_each_kind_of_trouble_is_told_once_with_the_first_pod_that_has_it() -> None:
    pods = [
        pod("b", waiting("ErrImagePull", "no such\nimage")),
        pod("a", waiting("ErrImagePull", "no such\nimage")),
        pod("c"),
        pod("d", waiting("ContainerCreating")),
        pod("e", ContainerStatus(restart_count=3), phase="Running"),
        pod("f", ContainerStatus(ready=True, restart_count=9), phase="Running"),
    ]
    assert troubles(pods) == [
        "a: ErrImagePull no such image",
        "c: not scheduled yet",
        "d: runs but is not ready",
        "e: restarted 3 times",
    ]

"""Helm's own command on a real API server: the chart is installed, changed and taken away, and what stays."""

import asyncio
from collections.abc import Iterator

import pytest

from mesh_fakes.bed import Bed, started
from mesh_fakes.helm_command import Helm, helm_command
from mesh_fakes.snapshot import Snapshot, snapshot
from mesh_fakes.waiting import until_found
from mesh_runtime.kube import ApiError

GATEWAY = ("-n", "meshctl-system", "get", "deployment", "meshctl-gateway")
TOO_MANY = 429


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helm]:
    """An API server that has nothing of ours."""
    with started(tmp_path_factory.mktemp("helm"), "--clusters", "alone", "--light") as bed:
        yield Helm(helm_command(), bed, "alone")


def seen(bed: Bed) -> Snapshot:
    """All there is; a kind that was just changed is not served for a moment."""
    found: list[Snapshot] = []

    async def is_seen() -> bool:
        try:
            async with bed.client("alone") as kube:
                found.append(await snapshot(kube))
        except ApiError as error:
            if error.status != TOO_MANY:
                raise
        return bool(found)

    asyncio.run(until_found(is_seen, limit=90))
    return found[0]


def replicas(helm: Helm) -> str:
    return helm.bed.kubectl("alone", *GATEWAY, "-o", "jsonpath={.spec.replicas}")


def plurals(names: tuple[str, ...]) -> set[str]:
    return {one.split(" ")[0].split(".")[0] for one in names}


def test_the_chart_comes_is_changed_and_goes_and_leaves_what_the_page_says(helm: Helm) -> None:
    before = seen(helm.bed)
    helm.install(hub="true", agent="true", agentAccess="true")
    assert replicas(helm) == "2"
    helm.upgrade(highAvailability="true")
    assert replicas(helm) == "3"
    assert "placement-" not in helm.bed.kubectl("alone", *GATEWAY[:3], "deployments", "-o", "name")
    helm.upgrade()
    assert replicas(helm) == "2"
    helm.done("uninstall")
    left = seen(helm.bed).since(before)
    assert left.gone == left.changed == ()
    assert plurals(left.new) == {"customresourcedefinitions", "namespaces"}

"""What we ship, before a real API server: every pod under the restricted profile, every object of the chart.

Nothing is kept but two namespaces and accounts in them: all else is asked by a dry run on the server.
"""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from mesh_cli.hub.placement_manifests import agent_manifests, hub_manifests
from mesh_cli.install.kustomize import Manifest, render
from mesh_cli.install.manifests import manifests_for
from mesh_cli.install.shape import Shape
from mesh_cli.install.shipped import Component, Overlay, sample_folder
from mesh_fakes.bed import Bed
from mesh_fakes.helm import program, rendered
from mesh_fakes.prometheus_operator import definitions

LEVELS = ("restricted", "privileged")
DRY = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f")
DONE = "serverside-applied (server dry run)"


def shapes() -> Iterator[Shape]:
    for overlay in Overlay:
        for count in range(len(Component) + 1):
            yield from (Shape(overlay, chosen) for chosen in combinations(Component, count))


def pods(objects: Iterable[Manifest]) -> Iterator[Manifest]:
    """A pod of each Deployment."""
    for one in objects:
        if one["kind"] == "Deployment":
            template = one["spec"]["template"]
            meta = {"name": one["metadata"]["name"], "labels": template["metadata"]["labels"]}
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}


@pytest.fixture(scope="module", autouse=True)
def namespaces(light: Bed, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A namespace under each level, named for it, with all accounts that our pods run under."""
    objects: list[Manifest] = []
    for level in LEVELS:
        labels = {"pod-security.kubernetes.io/enforce": level}
        objects.append(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": level, "labels": labels}}
        )
        for name in sorted({pod["spec"].get("serviceAccountName", "default") for pod in distinct()}):
            meta = {"name": name, "namespace": level}
            objects.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    light.kubectl("alone", "apply", "-f", written(tmp_path_factory.mktemp("levels") / "levels", objects))


@cache
def distinct() -> list[Manifest]:
    """Every pod that an overlay with any choice of components, a hub, a member or a sample makes, once."""
    made = [
        *(one for shape in shapes() for one in pods(manifests_for(shape, image=None))),
        *pods(hub_manifests(image=None)),
        *pods(agent_manifests(image=None, access=True)),
        *(one for name in ("hello", "client") for one in pods(render(sample_folder(name)))),
    ]
    return list({json.dumps(one, sort_keys=True): one for one in made}.values())


def written(path: Path, objects: Iterable[Manifest]) -> str:
    path.write_text(yaml.safe_dump_all(objects))
    return str(path)


def of_the_node(pod: Manifest) -> bool:
    return any("hostPort" in port for one in pod["spec"]["containers"] for port in one.get("ports", ()))


def test_the_restricted_profile_admits_every_pod_of_ours_but_one_with_a_port_of_its_node(
    light: Bed, tmp_path: Path
) -> None:
    on_node = [one for one in distinct() if of_the_node(one)]
    others = [one for one in distinct() if not of_the_node(one)]
    assert len({one["metadata"]["name"] for one in others}) == 8
    said = light.kubectl("alone", "-n", "restricted", *DRY, written(tmp_path / "others", others))
    assert said.count(DONE) == len(others)
    assert {one["metadata"]["name"] for one in on_node} == {"meshctl-gateway"}
    file = written(tmp_path / "on_node", on_node)
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted:latest": hostPort'):
        light.kubectl("alone", "-n", "restricted", *DRY, file)
    assert light.kubectl("alone", "-n", "privileged", *DRY, file).count(DONE) == len(on_node)


def test_the_api_server_takes_all_that_the_chart_makes(light: Bed, tmp_path: Path) -> None:
    everything = {
        "hub": True,
        "agent": True,
        "agentAccess": True,
        "highAvailability": True,
        "networkPolicy": True,
        "eventPolicy": True,
    }
    objects = rendered(program(), everything)
    said = light.kubectl("alone", *DRY, written(tmp_path / "chart.yaml", objects))
    assert said.count(DONE) == len(objects)


def test_an_api_server_with_the_prometheus_operators_kinds_takes_our_monitoring(
    light: Bed, tmp_path: Path
) -> None:
    """Its schemas look at fields; whether the expressions are right is promtool's to say."""
    kinds = [word for one in definitions("prometheusrules", "podmonitors") for word in ("-f", str(one))]
    light.kubectl("alone", "apply", "--server-side", *kinds)
    try:
        light.kubectl("alone", "wait", "--for=condition=Established", *kinds, "--timeout=90s")
        objects = rendered(program(), {"mesh": False, "monitoring": True})
        assert {one["kind"] for one in objects} == {"PrometheusRule", "PodMonitor"}
        said = light.kubectl("alone", *DRY, written(tmp_path / "monitoring.yaml", objects))
        assert said.count(DONE) == len(objects)
        # What it would not take shows that the kinds are looked at.
        objects[0]["spec"]["unknown"] = True
        file = written(tmp_path / "unknown.yaml", objects)
        with pytest.raises(AssertionError, match="unknown"):
            light.kubectl("alone", *DRY, file)
    finally:
        light.kubectl("alone", "delete", *kinds)

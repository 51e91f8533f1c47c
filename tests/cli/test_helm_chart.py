"""The chart is made of the kustomizations, and Helm makes of it what kustomize makes of them."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest
import yaml

from mesh_cli.hub.placement_manifests import agent_manifests, hub_manifests
from mesh_cli.install.kustomize import Manifest, identity
from mesh_cli.install.manifests import manifests_for
from mesh_cli.install.shape import Shape
from mesh_cli.install.shipped import Component, Overlay, manifests_folder
from mesh_fakes.helm import Refused, Values, lint, program, rendered
from mesh_fakes.helm_chart import CHART, COMPONENT_VALUES, write

SERVICE_TYPES = {Overlay.LOAD_BALANCER: "LoadBalancer", Overlay.NODE_PORT: "NodePort"}
SHAPES = [
    Shape(overlay, tuple(one for one, chosen in zip(Component, choice, strict=True) if chosen))
    for overlay in Overlay
    for choice in product((False, True), repeat=len(Component))
]
IMAGE = "registry.example:5000/team/mesh@sha256:" + "a" * 64


@pytest.fixture(scope="module")
def helm() -> Path:
    return program()


def values_of(shape: Shape) -> Values:
    chosen = {COMPONENT_VALUES[one]: True for one in shape.components}
    return {"serviceType": SERVICE_TYPES[shape.overlay], **chosen}


def by_identity(manifests: list[Manifest]) -> Mapping[tuple[str, str, str], Manifest]:
    found = {identity(one): one for one in manifests}
    assert len(found) == len(manifests), "one object twice"
    return found


def files(folder: Path) -> Mapping[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_chart_is_what_the_generator_makes_of_the_kustomizations_now(tmp_path: Path) -> None:
    """If not: PYTHONPATH=$PYTHONPATH:tests python -m mesh_fakes.helm_chart"""
    write(tmp_path)
    generated = Path("templates") / "generated"
    assert files(tmp_path / generated) == files(CHART / generated)
    assert files(tmp_path / "files") == files(CHART / "files")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda one: "+".join(sorted(values_of(one))))
def test_helm_makes_what_join_applies(helm: Path, shape: Shape) -> None:
    ours = by_identity(manifests_for(shape, image=None))
    assert by_identity(rendered(helm, values_of(shape))) == ours


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"image": IMAGE}, [manifests_for(Shape(), image=IMAGE)]),
        ({"mesh": False, "hub": True}, [hub_manifests(image=None)]),
        ({"mesh": False, "agent": True, "image": IMAGE}, [agent_manifests(image=IMAGE, access=False)]),
        ({"mesh": False, "agent": True, "agentAccess": True}, [agent_manifests(image=None, access=True)]),
        (
            {"hub": True, "agent": True},
            [
                manifests_for(Shape(), image=None),
                hub_manifests(image=None),
                agent_manifests(image=None, access=False),
            ],
        ),
        ({"mesh": False}, []),
    ],
    ids=["image", "hub", "agent", "agent with access", "all parts", "nothing"],
)
def test_parts_go_together_and_what_two_of_them_have_comes_once(
    helm: Path, values: Values, parts: list[list[Manifest]]
) -> None:
    expected = {identity(one): one for part in parts for one in part}
    assert by_identity(rendered(helm, values)) == expected


def test_monitoring_brings_our_alerts_as_they_are(helm: Path) -> None:
    objects = {one["kind"]: one for one in rendered(helm, {"mesh": False, "monitoring": True})}
    rules = yaml.safe_load((manifests_folder() / "monitoring" / "rules.yaml").read_text())
    assert objects["PrometheusRule"]["spec"] == rules
    (endpoint,) = objects["PodMonitor"]["spec"]["podMetricsEndpoints"]
    for one in manifests_for(Shape(), image=None):
        if one["kind"] == "Deployment":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            assert endpoint["port"] in [port["name"] for port in container["ports"]]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"imgae": "x"}, "imgae"),
        ({"serviceType": "ClusterIP"}, "serviceType"),
        ({"highAvailability": "yes"}, "highAvailability"),
        ({"image": "a b"}, "image"),
        ({"agentAccess": True}, "set agent=true too"),
        ({"mesh": False, "hub": True, "hostPort": True}, "set mesh=true too"),
    ],
)
def test_values_that_nobody_knows_or_that_contradict_are_refused_by_name(
    helm: Path, values: Values, says: str
) -> None:
    with pytest.raises(Refused, match=says):
        rendered(helm, values)


def test_a_release_in_the_namespace_that_the_chart_brings_is_refused_in_time(helm: Path) -> None:
    with pytest.raises(Refused, match="--namespace default"):
        rendered(helm, {}, namespace="meshctl-system")
    kinds = {one["kind"] for one in rendered(helm, {"createNamespace": False}, namespace="meshctl-system")}
    assert "Deployment" in kinds
    assert "Namespace" not in kinds


@pytest.mark.parametrize(
    "values", [{}, {"hub": True, "agent": True, "monitoring": True}, values_of(SHAPES[-1])]
)
def test_lint_finds_nothing(helm: Path, values: Values) -> None:
    lint(helm, values)


def test_lint_sees_what_it_is_for(helm: Path) -> None:
    with pytest.raises(Refused):
        lint(helm, {"imgae": "x"})


def test_the_chart_has_the_version_of_the_programs_it_installs() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    images = {
        one["spec"]["template"]["spec"]["containers"][0]["image"]
        for one in manifests_for(Shape(), image=None)
        if one["kind"] == "Deployment"
    }
    assert images == {f"meshctl.dev/clusterset-mesh:{chart['appVersion']}"}
    assert chart["version"] == chart["appVersion"]

"""A custom resource whose pods no convention finds: a package says which they are, and they are counted."""

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from mesh_core.objects import Meta
from mesh_placement.hub.placing.plugins import PluginRefused
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.objects import Placement, PlacementSpec
from mesh_placement.schedule.interpreting import INTERPRETER_GROUP
from mesh_placement.schedule.snapshot import Demand

RULE = """
    from mesh_placement.schedule.interpreting import Component


    class Training:
        name = "Training"

        def components(self, manifest):
            if manifest["kind"] != "Training":
                return None
            return [
                Component(manifest["spec"][role]["template"], manifest["spec"][role]["replicas"])
                for role in ("leader", "workers")
            ]
"""


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, *, rule: str = RULE) -> None:
    """The package as an installer leaves it."""
    about = folder / "training_rules-1.0.dist-info"
    about.mkdir()
    (folder / "training_rules.py").write_text(textwrap.dedent(rule))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: training-rules\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{INTERPRETER_GROUP}]\ntraining = training_rules:Training\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "training_rules", raising=False)


def part(cpu: str, replicas: object) -> dict[str, Any]:  # Any: JSON
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}
    return {"replicas": replicas, "template": {"spec": {"containers": [container]}}}


def demand(**spec: Any) -> Demand:  # Any: JSON
    manifest = {
        "apiVersion": "example.com/v1",
        "kind": "Training",
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": spec,
    }
    placement = Placement(
        metadata=Meta(name="a", namespace="shop"),
        spec=PlacementSpec(cluster_sets=("prod",), manifests=(manifest,)),
    )
    return installed_scheduling().demand_of(placement)


def test_a_resource_with_two_pod_templates_is_counted_as_a_package_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"leader": part("1", 1), "workers": part("4", 3)}
    assert demand(**parts) == Demand(apis=("example.com/v1",), namespaces=("shop",))
    installed(tmp_path, monkeypatch)
    found = demand(**parts)
    assert (found.replicas, found.request["cpu"]) == (3, 4000)
    assert [(one.request["cpu"], one.count) for one in found.beside] == [(1000, 1)]


def test_a_resource_on_which_the_package_fails_counts_as_one_that_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch)
    assert demand(leader="a user wrote this").replicas is None
    odd = demand(leader=part("1", "many"), workers={"replicas": 2, "template": "none"})
    assert (odd.replicas, odd.beside) == (None, ())


def test_a_hub_with_an_interpreter_that_is_none_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch, rule="Training = 1")
    with pytest.raises(PluginRefused, match="no Interpreter"):
        installed_scheduling()

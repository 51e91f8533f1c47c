"""A rule of somebody else's: built as a wheel, put beside us, and asked by the scheduler of a hub.

The wheel is built by hatchling, without a network, and unpacked as an installer does with a pure one.
"""

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from mesh_fakes.object_server import write_kubeconfig
from mesh_fakes.random_snapshots import NOW, room
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.objects.placing import ClusterChoice, PlacementSpec
from mesh_placement.schedule.plan import Decision
from mesh_placement.schedule.plugins import FILTER_GROUP
from mesh_placement.schedule.snapshot import Cluster, Demand, SetView, Snapshot, Wanted

PROJECT = f"""
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"

    [project]
    name = "tide-rules"
    version = "1.0"

    [project.entry-points."{FILTER_GROUP}"]
    tide = "tide_rules:Tide"
"""
RULE = """
    from mesh_placement.schedule.plugins import Rejection


    class Tide:
        name = "Tide"

        def reject(self, look, wanted, clusters):
            flooded = [one.name for one in clusters if one.properties.get("tide") == "high"]
            return {name: Rejection("Flooded", observed="high", required="low") for name in flooded}
"""
BUILD = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
WANTED = Wanted(
    "shop/app", "u", PlacementSpec(cluster_sets=("prod",), clusters=ClusterChoice(count=1)), Demand(1)
)
WORLD = Snapshot(
    NOW,
    sets=(SetView("prod"),),
    clusters=(
        Cluster("east", "prod", room=room([8])),
        Cluster("west", "prod", room=room([8]), properties={"tide": "high"}),
    ),
    placements=(WANTED,),
)


def wheel(folder: Path, *, rule: str = RULE) -> Path:
    """The package of the rule, built."""
    project, out = folder / "project", folder / "out"
    project.mkdir()
    (project / "pyproject.toml").write_text(textwrap.dedent(PROJECT))
    (project / "tide_rules.py").write_text(textwrap.dedent(rule))
    subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=project, check=True, capture_output=True)
    (built,) = out.glob("tide_rules-1.0-*.whl")
    return built


def installed(built: Path, folder: Path) -> Path:
    """A folder of packages with that wheel in it."""
    site = folder / "site"
    with zipfile.ZipFile(built) as archive:
        archive.extractall(site)
    return site


def decided() -> Decision:
    """By the scheduler that a hub runs."""
    (decision,) = installed_scheduling().schedule(WORLD).decisions
    return decision


def homes(decision: Decision) -> list[str]:
    return [one.cluster for one in decision.placed]


def test_a_filter_out_of_a_wheel_changes_a_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert homes(decided()) == ["west"]
    monkeypatch.syspath_prepend(str(installed(wheel(tmp_path), tmp_path)))
    decision = decided()
    assert homes(decision) == ["east"]
    west = decision.verdicts[1]
    assert (west.verdict, west.filter, west.code) == ("Rejected", "Tide", "Flooded")
    monkeypatch.undo()
    assert homes(decided()) == ["west"]


def test_a_hub_with_a_broken_plug_in_ends_with_one_line_that_names_it(tmp_path: Path) -> None:
    site = installed(wheel(tmp_path, rule="import no_such_module"), tmp_path)
    config = write_kubeconfig(tmp_path / "config", servers={"hub": "http://127.0.0.1:9"}, current="hub")
    path = os.pathsep.join([str(site), *filter(None, sys.path)])
    hub = subprocess.run(
        [sys.executable, "-m", "mesh_placement.hub"],
        env={**os.environ, "PYTHONPATH": path, "KUBECONFIG": str(config)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert hub.returncode == 1
    (line,) = (hub.stdout + hub.stderr).splitlines()
    assert "the hub cannot run" in line
    assert "the plug-in tide_rules:Tide cannot be used: ModuleNotFoundError" in line
    assert "take its package out" in line

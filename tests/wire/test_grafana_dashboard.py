"""The dashboard of manifests/monitoring: Prometheus understands all it asks for, and our pages give it."""

import asyncio
import io
import json
import re
import subprocess
from pathlib import Path

import yaml

from mesh_local.binaries import Component, find_binaries
from mesh_runtime.progress import progress_for

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "manifests" / "monitoring"
BOARD = json.loads((FOLDER / "dashboard.json").read_text())
EXPRESSIONS = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
TAB = re.compile(r"^\| (`[^|]+`) \| (counter|gauge|histogram|info) \| ([^|]*)\|", re.MULTILINE)


def promised() -> dict[str, set[str]]:
    """The labels of each metric that docs/metrics.md promises, and those that a scrape adds."""
    found: dict[str, set[str]] = {"up": {"job"}}
    for part in re.split(r"(?m)^#+ (?=What a|Metrics of a hub)", (ROOT / "docs/metrics.md").read_text()):
        prefix = re.search(r"meshctl_(?:gateway|dns|controller|hub)_", part)
        for cell, kind, labels in TAB.findall(part):
            assert prefix is not None
            named = {*re.findall(r"[a-z]+", labels.partition(":")[0])}
            for name in re.findall(r"`(\w+)`", cell):
                ends = {"histogram": ("_bucket", "_sum", "_count")}.get(kind, ("",))
                more = {"le"} if kind == "histogram" else set()
                found |= {prefix[0] + name + end: named | more for end in ends}
    return {name: labels | {"cluster", "instance"} for name, labels in found.items()}


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(EXPRESSIONS)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    ended = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, timeout=180)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(rules)} rules found" in ended.stdout


def test_every_metric_and_label_is_one_that_our_pages_give() -> None:
    known = promised()
    assert known["meshctl_gateway_streams_opened_total"] == {"peer", "direction", "cluster", "instance"}
    for expr in EXPRESSIONS:
        (name,) = set(re.findall(r"\b(?:meshctl_\w+|up)\b", expr))
        assert name in known, expr
        groups = [word for words in re.findall(r"by \(([^)]*)\)", expr) for word in words.split(", ")]
        matched = re.findall(r"(\w+)=~?\"", expr)
        assert {*groups, *matched} <= known[name], expr


def test_what_a_legend_names_is_a_label_that_is_left() -> None:
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            left = {
                word for words in re.findall(r"by \(([^)]*)\)", target["expr"]) for word in words.split(", ")
            }
            assert {*re.findall(r"{{(\w+)}}", target["legendFormat"])} <= left, panel["title"]


def test_panels_lie_beside_each_other_and_are_told_of_in_the_docs() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    told = (ROOT / "docs/monitoring.md").read_text().partition("## The dashboard")[2]
    assert not [panel["title"] for panel in BOARD["panels"] if panel["title"] not in told]


def test_dashboard_and_alerts_are_applied_as_config_maps_with_the_label_that_grafana_looks_for() -> None:
    found = asyncio.run(find_binaries(components=[Component.KUBECTL], progress=progress_for(io.StringIO())))
    command = [*found.commands[Component.KUBECTL], "kustomize", str(FOLDER)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=180)
    maps = {one["metadata"]["name"]: one for one in yaml.safe_load_all(shown.stdout)}
    assert maps.keys() == {"clusterset-mesh-dashboard", "clusterset-mesh-rules"}
    assert {one["metadata"]["namespace"] for one in maps.values()} == {"monitoring"}
    board = maps["clusterset-mesh-dashboard"]
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(board["data"]["clusterset-mesh.json"]) == BOARD
    rules = maps["clusterset-mesh-rules"]["data"]["clusterset-mesh-rules.yaml"]
    assert rules == (FOLDER / "rules.yaml").read_text()

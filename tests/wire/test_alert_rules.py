"""The alerts of manifests/monitoring, by Prometheus's own tool; they ask for numbers that we give."""

import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "manifests" / "monitoring"
RULES = [
    rule for group in yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"] for rule in group["rules"]
]


def promtool(*words: str) -> str:
    ended = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, timeout=180)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def documented() -> set[str]:
    """The names that docs/metrics.md promises, whole. The pages' own tests hold that list to the pages."""
    found: set[str] = set()
    for part in re.split(r"(?m)^#+ (?=What a|Metrics of a hub)", (ROOT / "docs/metrics.md").read_text()):
        prefix = re.search(r"meshctl_(?:gateway|dns|controller|hub)_", part)
        for cell, kind in re.findall(r"(?m)^\| (`[^|]+`) \| (counter|gauge|histogram|info) \|", part):
            assert prefix is not None
            ends = ("", "_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            found |= {prefix[0] + name + end for name in re.findall(r"`(\w+)`", cell) for end in ends}
    return found


def test_each_alert_fires_for_its_cause_and_not_before_its_time() -> None:
    promtool("check", "rules", "rules.yaml")
    promtool("test", "rules", "rules_test.yaml")


def test_the_example_of_a_scrape_configuration_is_one(tmp_path: Path) -> None:
    config = yaml.safe_load((FOLDER / "scrape.yaml").read_text())
    # Debian builds Prometheus without the discovery of pods: that part it cannot read.
    (job,) = config["scrape_configs"]
    assert [one["role"] for one in job.pop("kubernetes_sd_configs")] == ["pod"]
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    promtool("check", "config", "--syntax-only", str(file))


def test_no_alert_is_without_a_test_of_its_fire_and_of_its_silence() -> None:
    cases = yaml.safe_load((FOLDER / "rules_test.yaml").read_text())["tests"][0]["alert_rule_test"]
    fired = {case["alertname"] for case in cases if case["exp_alerts"]}
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}
    assert fired == silent == {rule["alert"] for rule in RULES}


def test_alerts_ask_for_numbers_that_are_documented_and_are_explained() -> None:
    known = documented()
    told = (ROOT / "docs/monitoring.md").read_text()
    checks = (ROOT / "docs/checks.md").read_text()
    for rule in RULES:
        assert f"| `{rule['alert']}` |" in told
        names = set(re.findall(r"\b(?:meshctl_\w+|up)\b", rule["expr"]))
        assert names and names <= {*known, "up"}, rule["expr"]
        for area in re.findall(r"--only (MESH-\w+)", rule["annotations"]["next"]):
            assert f"### {area}-" in checks

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
    ended = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


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
    numbers = (ROOT / "docs/metrics.md").read_text()
    told = (ROOT / "docs/monitoring.md").read_text()
    checks = (ROOT / "docs/checks.md").read_text()
    for rule in RULES:
        assert f"| `{rule['alert']}` |" in told
        names = re.findall(r"meshctl_(?:gateway|dns)_(\w+)", rule["expr"])
        assert names and all(f"| `{name}` |" in numbers for name in names), rule["expr"]
        for area in re.findall(r"--only (MESH-\w+)", rule["annotations"]["next"]):
            assert f"### {area}-" in checks

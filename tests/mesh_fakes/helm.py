"""Helm without its command: its own packages render and lint our chart (tests/interop/helm), built once."""

import asyncio
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mesh_cli.install.kustomize import Manifest
from mesh_fakes.helm_chart import CHART, KEEP, KEPT
from mesh_fakes.silent import SilentProgress
from mesh_local.go_build import Module, built

FOLDER = Path(__file__).parent.parent / "interop" / "helm"
MODULE = Module(what="Helm's own packages", folder=FOLDER, linker_flags="", instead="")
Values = Mapping[str, Any]  # whatever somebody writes into a file of values


class Refused(Exception):
    """Helm does not render the chart; what it says."""


def program() -> Path:
    """The program, built when the cache does not have it."""
    return asyncio.run(built(MODULE, progress=SilentProgress()))


def rendered(binary: Path, values: Values, *, namespace: str = "default") -> list[Manifest]:
    """What `helm template` makes of the chart, without what keeps objects from `helm uninstall`."""
    text = _asked(binary, {"namespace": namespace, "values": values})
    objects: list[Manifest] = [one for one in yaml.safe_load_all(text) if one]
    for one in objects:
        if one["kind"] in KEPT:
            annotations = one["metadata"]["annotations"]
            assert annotations.pop(KEEP) == "keep"
            if not annotations:
                del one["metadata"]["annotations"]
    return objects


def lint(binary: Path, values: Values) -> None:
    """What `helm lint --strict` does; raises Refused with the first thing it finds."""
    _asked(binary, {"namespace": "default", "values": values, "lint": True})


def _asked(binary: Path, question: Values) -> str:
    done = subprocess.run(
        [str(binary), str(CHART)], input=json.dumps(question), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise Refused(answer["error"])
    text: str = answer["objects"]
    return text

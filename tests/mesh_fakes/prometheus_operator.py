"""Definitions of the Prometheus Operator's kinds: files of its Go module, nothing of which is built."""

import json
import os
import subprocess
from pathlib import Path

from mesh_local.go_build import find_go

MODULE = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
_FILES = "example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml"


def definitions(*plurals: str) -> list[Path]:
    """Files with the CustomResourceDefinitions of these kinds; downloaded and checked by Go once."""
    go = find_go(os.environ)
    assert go is not None, "the module is had by Go"
    # In no module, because a go.mod here would name one that nothing is built of.
    done = subprocess.run(
        [go, "mod", "download", "-json", MODULE],
        cwd="/",
        env={**os.environ, "GOFLAGS": "", "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = Path(json.loads(done.stdout)["Dir"])
    return [folder / _FILES.format(one) for one in plurals]

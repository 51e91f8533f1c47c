"""A kubeconfig for programs that are run beside a fake API server."""

from pathlib import Path

import yaml


def kubeconfig(folder: Path, *, server: str) -> Path:
    """The file, in `folder`: one cluster at `server`, which believes anybody."""
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "west",
        "clusters": [{"name": "west", "cluster": {"server": server}}],
        "users": [{"name": "us", "user": {"token": "x"}}],
        "contexts": [{"name": "west", "context": {"cluster": "west", "user": "us"}}],
    }
    path.write_text(yaml.safe_dump(content))
    return path

"""Keeps what the kinds of this checkout are, for later versions to be compared with (tests/compat).

    python -m mesh_fakes.kept_kinds NAME [MANIFESTS]

Written when a version is released: the checkout may have no history (a shallow clone), the folder always has.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mesh_fakes.kind_changes import bare

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / "tests" / "compat"


def definitions(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The CustomResourceDefinitions in and below a folder, by name."""
    found: dict[str, Mapping[str, Any]] = {}
    for file in sorted(folder.rglob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document and document.get("kind") == "CustomResourceDefinition":
                found[document["metadata"]["name"]] = document
    return found


def keep(name: str, *, manifests: Path) -> None:
    """One file for each kind, below a folder of that name."""
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    for kind, document in definitions(manifests / "crds").items():
        (folder / f"{kind}.yaml").write_text(yaml.safe_dump(bare(document), sort_keys=True, width=110))


if __name__ == "__main__":
    keep(sys.argv[1], manifests=Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "manifests")

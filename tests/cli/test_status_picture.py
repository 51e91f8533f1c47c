"""The picture of `meshctl status` in the README is what the command shows today."""

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"


def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("status_picture", ROOT / "bench" / "status_picture.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_drawn_from_what_is_recorded_beside_it() -> None:
    """Another table is another picture: run python bench/status_picture.py."""
    drawn = program().picture((IMAGES / "status.json").read_bytes())
    assert drawn == (IMAGES / "status.svg").read_text()


def test_whoever_looks_at_the_picture_loads_nothing_from_elsewhere() -> None:
    drawn = (IMAGES / "status.svg").read_text()
    assert "@font-face" not in drawn and "url(http" not in drawn

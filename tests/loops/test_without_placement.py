"""The mesh without the module that places: its programs start where that is not installed at all."""

import subprocess
import sys

import pytest

# A finder that comes first and knows nothing of the module, as if its package were not there.
WITHOUT = """
import importlib, pkgutil, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "mesh_placement":
            raise ModuleNotFoundError(f"no module named {name}", name=name)
        return None

sys.meta_path.insert(0, Missing())
package = importlib.import_module(sys.argv[1])
names = [one.name for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names), *(name for name in sys.modules if name.startswith("mesh_placement")))
"""
LEAST = 20


def imported_without(package: str) -> subprocess.CompletedProcess[str]:
    """All modules of a package, imported by an interpreter that cannot import the module."""
    argv = [sys.executable, "-c", WITHOUT, package]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    "package", ["mesh_controller", "mesh_dns", "mesh_gateway", "mesh_runtime", "mesh_core"]
)
def test_no_part_of_the_mesh_imports_what_places(package: str) -> None:
    ended = imported_without(package)
    assert ended.returncode == 0, ended.stderr
    number, *placing = ended.stdout.split()
    assert int(number) >= LEAST and placing == []


def test_what_places_cannot_be_imported_that_way() -> None:
    ended = imported_without("mesh_placement")
    assert ended.returncode != 0 and "no module named mesh_placement" in ended.stderr

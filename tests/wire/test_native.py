"""The gateway's modules as machine code: they pass the tests that their sources pass."""

import asyncio
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from mesh_local.native import LIBRARY, MODULES, PACKAGE, native_files, native_gateway
from mesh_runtime.progress import progress_for

HERE = Path(__file__).parent
# These put a class of their own in the place of a connection, which machine code does not allow.
_FROM_SOURCES_ONLY = ("test_native.py", "test_yamux_interop.py", "test_long_ways.py")
_LIMIT = 600


def compiled() -> Path:
    """The folder with the compiled package, from the cache or made now."""
    found = asyncio.run(native_gateway(progress=progress_for(StringIO())))
    assert found is not None, "gcc, Python's headers, mypy or setuptools is missing here"
    return found


def test_every_module_of_the_list_is_compiled() -> None:
    folder = compiled()
    names = {name.split(".")[0] for name in native_files(folder / PACKAGE)}
    assert names == {f"{LIBRARY}__mypyc", *(f"{PACKAGE}/{module}" for module in MODULES)}


def test_machine_code_passes_the_tests_of_the_wire() -> None:
    folder = compiled()
    ignored = [f"--ignore={HERE / name}" for name in _FROM_SOURCES_ONLY]
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ignored, str(HERE)],
        cwd=HERE.parents[1],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=_LIMIT,
    )
    assert said.returncode == 0, said.stdout[-3000:]


def test_that_run_is_one_of_machine_code() -> None:
    folder = compiled()
    script = f"from {PACKAGE} import egress, session; print(egress.__file__, session.__file__)"
    said = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(file.startswith(str(folder)) and file.endswith(".so") for file in said.stdout.split())


def test_who_wants_the_sources_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHCTL_NATIVE", "off")
    assert asyncio.run(native_gateway(progress=progress_for(StringIO()))) is None

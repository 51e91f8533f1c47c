"""The compiled modules of gateway and DNS: they pass the tests that their sources pass."""

import asyncio
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from mesh_local.native import ALL, DNS, GATEWAY, Compiled, native, native_files
from mesh_runtime.progress import progress_for

HERE = Path(__file__).parent
# These put a class of their own in the place of a connection, which machine code does not allow.
_FROM_SOURCES_ONLY = (
    "test_native.py",
    "test_yamux_interop.py",
    "test_long_ways.py",
    "test_tunnel_silence.py",
)
_STORIES = ("test_dns_server.py", "test_dns_tcp_limits.py")
_LIMIT = 600


def folder_of(compiled: Compiled) -> Path:
    """Where the package lies compiled, from the cache or made now."""
    found = asyncio.run(native(compiled, progress=progress_for(StringIO())))
    assert found is not None, "gcc, Python's headers, mypy or setuptools is missing here"
    return found


def with_all() -> dict[str, str]:
    """An environment in which both packages are machine code; what it had comes after them."""
    path = [*(str(folder_of(one)) for one in ALL), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


@pytest.mark.parametrize("compiled", ALL, ids=lambda one: one.package)
def test_every_module_of_the_list_is_compiled(compiled: Compiled) -> None:
    package = compiled.package
    names = {name.split(".")[0] for name in native_files(folder_of(compiled) / package, compiled)}
    assert names == {
        f"{compiled.library}__mypyc",
        *(f"{package}/{module}" for module in compiled.modules),
    }


def test_machine_code_passes_the_tests_of_the_wire_and_the_stories_of_dns() -> None:
    ignored = [f"--ignore={HERE / name}" for name in _FROM_SOURCES_ONLY]
    stories = [str(HERE.parent / "stories" / name) for name in _STORIES]
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ignored, str(HERE), *stories],
        cwd=HERE.parents[1],
        env=with_all(),
        capture_output=True,
        text=True,
        timeout=_LIMIT,
    )
    assert said.returncode == 0, said.stdout[-3000:]


def test_that_run_is_one_of_machine_code() -> None:
    script = "from mesh_gateway import egress, session; from mesh_dns import hot, udp;"
    script += "print(*(one.__file__ for one in (egress, session, hot, udp)))"
    said = subprocess.run(
        [sys.executable, "-c", script],
        env=with_all(),
        capture_output=True,
        text=True,
        check=True,
    )
    files = said.stdout.split()
    folders = [folder_of(GATEWAY)] * 2 + [folder_of(DNS)] * 2
    for file, folder in zip(files, folders, strict=True):
        assert file.startswith(str(folder)) and file.endswith(".so")


def test_who_wants_the_sources_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHCTL_NATIVE", "off")
    assert asyncio.run(native(GATEWAY, progress=progress_for(StringIO()))) is None

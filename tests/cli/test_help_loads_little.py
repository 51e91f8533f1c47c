"""What a command loads before it does anything: `--help` and completion of every verb wait for that.

Never by the clock: which modules are loaded is the same on every machine.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from mesh_cli.main import VERBS

ROOT = Path(__file__).parents[2]
HEAVY = ("kubernetes", "aiohttp", "rich", "requests")
"""No verb has a use for them before it asks a cluster or shows progress."""
LIGHT_VERBS = ("status", "peers", "services", "events", "gateways", "dns", "export", "trust", "top", "token")
"""Of these not even certificates are loaded, nor what reads the files of a root of trust."""

LOADED = """
import importlib, json, sys
for module in json.loads(sys.argv[1]):
    importlib.import_module(module)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded(*verbs: str) -> set[str]:
    """The packages that are there when a new process has loaded these verbs."""
    modules = json.dumps([VERBS[verb].module for verb in verbs])
    rooms = os.pathsep.join(str(ROOT / room) for room in ("controller", "dns", "gateway", "meshctl"))
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, modules],
        env={**os.environ, "PYTHONPATH": rooms},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(json.loads(ended.stdout))


def test_no_verb_loads_what_only_its_work_needs() -> None:
    found = loaded(*VERBS)
    assert "mesh_cli" in found
    assert found.isdisjoint(HEAVY), found & set(HEAVY)


def test_verbs_that_are_asked_often_load_no_certificates() -> None:
    found = loaded(*LIGHT_VERBS)
    assert found.isdisjoint((*HEAVY, "cryptography", "pydantic")), found


def test_what_is_looked_for_is_found_where_it_is_loaded() -> None:
    """A name that is spelt wrong here would never be found."""
    modules = "kubernetes.aio.config", "aiohttp", "rich.console", "requests", "cryptography.x509", "pydantic"
    line = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", line], capture_output=True, text=True, timeout=120, check=True
    )
    assert {*HEAVY, "cryptography", "pydantic"} <= set(told.stdout.split())

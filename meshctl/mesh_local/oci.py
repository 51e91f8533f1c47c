"""Writes container images as docker-archive tars, without Docker.

Laws:
1. The same entries give the same bytes: names are sorted, times are 0, everything belongs to root.
2. A parent folder that nobody names is made, mode 0755.
3. Big files are copied from where they lie; no layer is held in memory.

The format is that of `docker save` (manifest.json, a configuration, one tar a layer), which containerd
imports; the configuration is the OCI image specification's.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Go's names of the machines that Python names differently.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class File:
    """A file of the image: a copy of one of this machine, or the bytes themselves."""

    content: Path | bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is needed empty, or with a mode of its own."""

    mode: int


Entry = File | Link | Folder
# By path in the image, without a leading slash.
Entries = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Config:
    """What runs when nobody says otherwise; `user` is `uid:gid`, empty for root."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    user: str = ""


def write_layer(entries: Entries, *, to: Path) -> None:
    """Writes one layer's tar. Raises OSError when a file cannot be read or written."""
    with tarfile.open(to, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted({*entries, *_parents(entries)}):
            _add(tar, name, entries.get(name, Folder(0o755)))


def write_image(layers: Sequence[Path], *, names: Sequence[str], config: Config, to: Path) -> None:
    """Puts layers' tars, the lowest first, into an image called each of `names` (full, with a tag)."""
    digests = [_sha256(layer) for layer in layers]
    configuration = _configuration(config, digests)
    config_name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    layer_names = [f"{digest}/layer.tar" for digest in digests]
    manifest = [{"Config": config_name, "RepoTags": list(names), "Layers": layer_names}]
    with tarfile.open(to, mode="w", format=tarfile.GNU_FORMAT) as tar:
        _add(tar, config_name, File(configuration))
        for layer_name, layer in zip(layer_names, layers, strict=True):
            _add(tar, layer_name, File(layer))
        _add(tar, "manifest.json", File(json.dumps(manifest).encode()))


def _configuration(config: Config, digests: Sequence[str]) -> bytes:
    """The image configuration (OCI image specification, config.md)."""
    machine = platform.machine()
    history = [{"created": _EPOCH, "created_by": "clusterset-mesh"} for _ in digests]
    document = {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": _EPOCH,
        "config": {
            "User": config.user,
            "Entrypoint": config.entrypoint or None,
            "Cmd": config.command or None,
            "Env": config.environment,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": history,
    }
    return json.dumps(document, sort_keys=True).encode()


def _parents(entries: Entries) -> Iterator[str]:
    for name in entries:
        for parent in PurePosixPath(name).parents:
            if parent.name:
                yield str(parent)


def _add(tar: tarfile.TarFile, name: str, entry: Entry) -> None:
    info = tarfile.TarInfo(name)
    match entry:
        case Folder(mode):
            info.type, info.mode = tarfile.DIRTYPE, mode
            tar.addfile(info)
        case Link(target):
            info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, target
            tar.addfile(info)
        case File(bytes() as content, executable):
            info.size, info.mode = len(content), _mode(executable=executable)
            tar.addfile(info, io.BytesIO(content))
        case File(Path() as source, executable):
            with source.open("rb") as file:
                info.size, info.mode = source.stat().st_size, _mode(executable=executable)
                tar.addfile(info, file)


def _mode(*, executable: bool) -> int:
    return 0o755 if executable else 0o644


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""The last good objects that routes are made of, on disk: for a start while the API server is away.

    first line    {"version":1,"cluster":"east","domain":"clusterset.local"}
    each other    <what it is>\\t<the object as the API server wrote it>

1. A file that is not whole (`mesh_runtime.snapshot_file`), or of another version, counts as none.
2. No key and no certificate is in it (ruling 24): a gateway that starts from it listens to its ports, and is
   ready when it has got a certificate, for which the API server must be there.
3. Who may be dialled is not kept: only the watch knows (ruling 28), and until it does nobody is. Nor is where
   the API server answers, so that no consent of yesterday leads to it.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from mesh_core.identity import InvalidName, cluster_id, domain
from mesh_core.objects import EndpointSlice, KubernetesObject, MeshPeer, ServiceExport, ServiceImport
from mesh_gateway.ground import Ground
from mesh_gateway.route_table import Objects
from mesh_runtime.snapshot_file import UnreadableSnapshot, read_lines, write_lines

FILE_NAME = "routes.snapshot"
VERSION = 1
_WHAT = "routes"


class _Head(msgspec.Struct, frozen=True):
    version: int
    cluster: str = ""
    domain: str = ""
    network: str = ""


_encoder = msgspec.json.Encoder()
_heads = msgspec.json.Decoder(_Head)
_slices = msgspec.json.Decoder(EndpointSlice)
_imports = msgspec.json.Decoder(ServiceImport)
_exports = msgspec.json.Decoder(ServiceExport)
_peers = msgspec.json.Decoder(MeshPeer)


def write_snapshot(objects: Objects, *, folder: Path) -> None:
    """Replaces the snapshot in `folder`; blocks, so call it in a thread. Raises OSError."""
    write_lines(_lines(objects), path=folder / FILE_NAME)


def read_snapshot(folder: Path) -> Objects | None:
    """What the snapshot in `folder` holds; None when there is none. Raises UnreadableSnapshot."""
    lines = read_lines(folder / FILE_NAME, what=_WHAT)
    if lines is None:
        return None
    try:
        return _objects(lines)
    except (msgspec.MsgspecError, InvalidName, UnicodeDecodeError, ValueError) as error:
        raise UnreadableSnapshot(_WHAT, why=str(error)) from error


def _lines(objects: Objects) -> Iterator[bytes]:
    head = _Head(VERSION, objects.cluster, objects.domain, objects.network)
    yield _encoder.encode(head)
    parts: tuple[tuple[bytes, Iterator[KubernetesObject]], ...] = (
        (b"slice", iter(objects.slices)),
        (b"import", iter(objects.imports)),
        (b"export", iter(objects.exports)),
        (b"peer", iter(objects.peers)),
        (b"controller", iter(objects.controllers)),
    )
    for kind, items in parts:
        for item in items:
            yield b"%s\t%s" % (kind, _encoder.encode(item))


def _objects(lines: list[bytes]) -> Objects:
    head = _heads.decode(lines[0])
    if head.version != VERSION:
        raise UnreadableSnapshot(_WHAT, why=f"it is of version {head.version}")
    found: dict[bytes, list[bytes]] = {}
    for line in lines[1:]:
        kind, _, text = line.partition(b"\t")
        found.setdefault(kind, []).append(text)
    return Objects(
        cluster=cluster_id(head.cluster),
        domain=domain(head.domain),
        slices=tuple(map(_slices.decode, found.get(b"slice", ()))),
        imports=tuple(map(_imports.decode, found.get(b"import", ()))),
        exports=tuple(map(_exports.decode, found.get(b"export", ()))),
        peers=tuple(map(_peers.decode, found.get(b"peer", ()))),
        controllers=tuple(map(_slices.decode, found.get(b"controller", ()))),
        ground=Ground(),
        network=head.network,
    )

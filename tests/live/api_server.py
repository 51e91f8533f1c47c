"""Which process the API server of a bed's cluster is."""

from pathlib import Path

from mesh_fakes.bed import Bed


def api_server_of(bed: Bed, *, cluster: str = "") -> int:
    """The process id of the API server of `cluster`; without one that of any cluster of the bed."""
    place = str(bed.folder / cluster).encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"kube-apiserver" in words and any(place in word for word in words):
                return int(entry.name)
    raise AssertionError(f"no API server of {cluster or 'this bed'}")

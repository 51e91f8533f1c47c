"""The API server of a light cluster `alone`, taken away and given back."""

from pathlib import Path

from mesh_fakes.bed import Bed


def api_server_of(bed: Bed) -> int:
    """The process id of the set's API server."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"kube-apiserver" in words and any(str(bed.folder).encode() in word for word in words):
                return int(entry.name)
    raise AssertionError("no API server of this set")


def start_again(bed: Bed) -> None:
    """Let `up` repair what was killed."""
    bed.done("local", "up", "--clusters", "alone", "--light", "--dir", str(bed.folder))

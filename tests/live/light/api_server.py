"""The API server of a light cluster `alone`, given back after it was taken away."""

from mesh_fakes.bed import Bed


def start_again(bed: Bed) -> None:
    """Let `up` repair what was killed."""
    bed.done("local", "up", "--clusters", "alone", "--light", "--dir", str(bed.folder))

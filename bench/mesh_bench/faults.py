"""What can keep the gateway's benchmark from measuring."""

from mesh_core.errors import EnvironmentFault


class BenchFault(EnvironmentFault):
    """A program of the benchmark did not start, died, or said what cannot be read."""

"""What a person reads when the scheduler, or a plug-in of it, comes to no plan at the command line."""

from collections.abc import Iterator
from contextlib import contextmanager

from mesh_core.errors import EnvironmentFault, MeshError


class PlanFailed(EnvironmentFault):
    """The scheduler, or a plug-in of it, failed here."""

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"the scheduler failed: {type(error).__name__}: {error}",
            next_step="where a plug-in failed, take it out; else tell us, with what --capture wrote",
        )


@contextmanager
def planning() -> Iterator[None]:
    """Whatever a plug-in raises leaves the block as PlanFailed."""
    try:
        yield
    except MeshError:
        raise
    except Exception as error:  # a plug-in is somebody else's code
        raise PlanFailed(error) from error

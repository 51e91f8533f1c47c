"""What can go wrong with local clusters, by whose fault it was."""

from collections.abc import Iterator
from contextlib import contextmanager

from mesh_core.errors import EnvironmentFault, UserError


class BadRequest(UserError):
    """Clusters were asked for that cannot be made; found before anything was made."""


class NotThere(UserError):
    """A cluster or a set of clusters was named that is not there."""


class Occupied(UserError):
    """The folder holds something else, or another command is at work on it."""


class MachineFault(EnvironmentFault):
    """This machine does not give what clusters need."""


class ComponentFault(EnvironmentFault):
    """A server of a cluster died, or did not become ready in time."""


class CommandFault(EnvironmentFault):
    """A command that we started failed or took too long."""


@contextmanager
def machine_refusals() -> Iterator[None]:
    """What the operating system refuses within the block (a full disk, a missing right) as a MachineFault."""
    try:
        yield
    except OSError as error:
        raise MachineFault(f"the machine refused: {error}", next_step="mend that and try again") from error

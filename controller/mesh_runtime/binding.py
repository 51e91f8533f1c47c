"""Binding a port, with a sentence for when somebody else has it."""

from collections.abc import Iterator
from contextlib import contextmanager

from mesh_core.errors import EnvironmentFault


class PortTaken(EnvironmentFault):
    """A port that one of our programs needs cannot be bound."""

    def __init__(self, port: int, *, why: str) -> None:
        super().__init__(
            f"port {port} cannot be bound ({why})",
            next_step="end what holds it, or start the program in a pod of its own",
        )


@contextmanager
def binding(port: int) -> Iterator[None]:
    """Turns the OSError of a failed bind to `port` into PortTaken."""
    try:
        yield
    except OSError as error:
        raise PortTaken(port, why=error.strerror or str(error)) from error

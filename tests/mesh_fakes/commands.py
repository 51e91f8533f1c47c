"""Commands as a person types them, and what came of them."""

from collections.abc import Callable

from click.testing import Result

from mesh_core.errors import MeshError

Meshctl = Callable[..., Result]


def done(result: Result) -> str:
    """The output of a command that must have succeeded."""
    assert result.exception is None, result.exception
    return result.stdout


def complaint(result: Result) -> str:
    """The one line that a failed command ends with."""
    assert isinstance(result.exception, MeshError), result
    return str(result.exception)


def join(meshctl: Meshctl, trust: str, *more: str) -> Result:
    words = ("--context", "e", "--cluster-id", "east", "--trust", trust, "--service-type", "nodeport")
    return meshctl("join", *words, *more)

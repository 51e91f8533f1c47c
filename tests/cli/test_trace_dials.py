"""What `meshctl trace` says of a call from a pod that came to nothing."""

import pytest

from mesh_cli.trace.dialling import why_failed


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "command terminated with non-zero exit code: error executing command "
            "[sh -c \nif command -v nc >/dev/null; then false; fi\n sh 10.96.0.7 80], exit code 1",
            "it took no connection, and said nothing (exit status 1)",
        ),
        (
            "command terminated with exit code 137",
            "it took no connection, and said nothing (exit status 137)",
        ),
        ("container not found\n(client)", "container not found (client)"),
    ],
)
def test_a_command_that_failed_without_a_word_is_not_repeated(said: str, told: str) -> None:
    assert why_failed(said) == told

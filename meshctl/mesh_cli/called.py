"""What the command is called: `meshctl`, or `kubectl mesh` where kubectl has started it."""

import re
from typing import Final

PROGRAM: Final = "meshctl"
PLUGIN: Final = "kubectl mesh"
COMPLETE_VARIABLE: Final = "_MESHCTL_COMPLETE"
"""By which a shell asks for proposals."""
_COMMAND = re.compile(r"\bmeshctl (?=[a-z])")


def as_called(text: str, *, name: str) -> str:
    """Sentences that name commands of ours, for whoever calls us `name`."""
    return text if name == PROGRAM else _COMMAND.sub(f"{name} ", text)

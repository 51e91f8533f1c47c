"""Where a command gets the passphrase of a key from: a file that a variable names, or the person.

It is asked for once in a command, and is never an argument, which every process of the machine could read.
"""

import os
import sys
from pathlib import Path

import click

from mesh_core.errors import UserError
from mesh_runtime.secret_file import Passphrase, PassphraseNeeded, passphrase_from
from mesh_runtime.trust_folder import ROOT_KEY


class NoPassphrase(UserError):
    """A key that shall be encrypted needs one."""


def asking() -> Passphrase:
    """What asks at the first key that is encrypted, and knows the answer for the rest of the command."""
    context = click.get_current_context(silent=True)
    known: dict[str, bytes] = context.find_root().meta.setdefault(__name__, {}) if context else {}

    def ask(path: Path) -> bytes:
        # The roots of a folder have one passphrase; any other key has its own.
        name = str(path.parent if path.name.endswith(ROOT_KEY) else path)
        if name not in known:
            known[name] = passphrase_from(os.environ) or _typed(path, confirm=False)
        return known[name]

    return ask


def new_passphrase(path: Path) -> bytes:
    """The passphrase for a key that will be made at `path`; asked for twice when it is typed."""
    return passphrase_from(os.environ) or _typed(path, confirm=True)


def _typed(path: Path, *, confirm: bool) -> bytes:
    if not sys.stdin.isatty():
        raise PassphraseNeeded(path)
    text = click.prompt(f"passphrase of {path}", hide_input=True, confirmation_prompt=confirm, err=True)
    if not text:
        raise NoPassphrase("the passphrase is empty", next_step="type at least one character")
    return str(text).encode()

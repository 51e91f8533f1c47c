"""Changing the root in its folder: the next one is made beside it, then takes its place.

Every state in which a process can be killed tells what is left to do, and `load_trust_dir` does it.
"""

from datetime import datetime
from pathlib import Path

from mesh_core.identity import Domain
from mesh_runtime.pem import certificates_to_pem, is_encrypted
from mesh_runtime.pki import make_root
from mesh_runtime.secret_file import DISK, Files, Passphrase, create_key, no_passphrase
from mesh_runtime.trust_folder import (
    NEXT_CERTIFICATE,
    NEXT_KEY,
    OLD_CERTIFICATE,
    OLD_KEY,
    ROOT_CERTIFICATE,
    ROOT_KEY,
    locked,
    unwritable,
)


def prepare_root(
    folder: Path,
    *,
    domain: Domain,
    now: datetime,
    passphrase: Passphrase = no_passphrase,
    files: Files = DISK,
) -> None:
    """Make the next root, unless it is there; encrypted where the present one is. Nobody is told of it.

    Raises TrustFolderError, and what asking for the passphrase raises.
    """
    try:
        with locked(folder):
            if (folder / NEXT_CERTIFICATE).exists():
                return
            protected = is_encrypted((folder / ROOT_KEY).read_bytes())
            word = passphrase(folder / ROOT_KEY) if protected else b""
            # A key without a certificate was never told to anybody: it was made by a run that was killed.
            files.remove(folder / NEXT_KEY)
            made = make_root(domain, now=now)
            create_key(folder / NEXT_KEY, key=made.key, passphrase=word, files=files)
            files.put(folder / NEXT_CERTIFICATE, content=certificates_to_pem((made.certificate,)))
    except OSError as error:
        raise unwritable(folder, error) from error


def change_root(folder: Path, *, files: Files = DISK) -> None:
    """Make the next root the root, and the root the old one; the caller says when.

    The order tells from what is there how far it came: `load_trust_dir` finishes it. Raises TrustFolderError.
    """
    try:
        with locked(folder):
            if not (folder / NEXT_CERTIFICATE).exists():
                return
            # Of the root before this one, which nobody believes any more; its key must not stand beside a
            # certificate of another.
            files.remove(folder / OLD_KEY)
            files.put(folder / OLD_CERTIFICATE, content=(folder / ROOT_CERTIFICATE).read_bytes())
            files.rename(folder / ROOT_KEY, to=folder / OLD_KEY)
            _promote(folder, files=files)
    except OSError as error:
        raise unwritable(folder, error) from error


def _promote(folder: Path, *, files: Files) -> None:
    if (folder / NEXT_CERTIFICATE).exists():
        files.rename(folder / NEXT_CERTIFICATE, to=folder / ROOT_CERTIFICATE)
    files.rename(folder / NEXT_KEY, to=folder / ROOT_KEY)


def finish_change_of_root(folder: Path, *, files: Files) -> None:
    """Go on where a killed `change_root` stopped: root.key is gone, and next-root.key is still here."""
    if (folder / ROOT_KEY).exists() or not (folder / NEXT_KEY).exists():
        return
    try:
        with locked(folder):
            begun = (folder / OLD_CERTIFICATE).exists() and (folder / OLD_KEY).exists()
            pending = (folder / NEXT_CERTIFICATE).exists()
            present = (folder / ROOT_CERTIFICATE).read_bytes()
            # While the next certificate waits, the old one has just been copied from the present one;
            # otherwise somebody has only carried root.key away.
            if begun and (not pending or (folder / OLD_CERTIFICATE).read_bytes() == present):
                _promote(folder, files=files)
    except OSError as error:
        raise unwritable(folder, error) from error

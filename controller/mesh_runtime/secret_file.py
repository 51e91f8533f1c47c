"""Files that hold private keys, and files that must be whole at any time.

1. A private key's file has mode 0600 from its first byte, and is refused when others may read it.
2. A file is written beside its place, brought to the disk, and put there by a rename.
3. A passphrase comes from a person or from a file, never from an argument or a variable of its own, where
   every process of the machine could read it.

`Files` is the seam at which a test ends the process between two steps.
"""

import errno
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.errors import UserError
from mesh_runtime.pem import is_encrypted, key_from_pem, key_to_pem

PASSPHRASE_FILE = "MESHCTL_TRUST_PASSPHRASE_FILE"
"""The variable that names a file with the passphrase."""

Passphrase = Callable[[Path], bytes]
"""Asks for the passphrase of the key in that file."""


class OpenToOthers(UserError):
    """The file of a secret can be read by others than its owner."""

    def __init__(self, path: Path, *, mode: int) -> None:
        super().__init__(
            f"{path} can be read by others (mode {mode:04o})",
            next_step=f"run chmod 600 {path}, and if others had it in their hands make the key anew",
        )


class PassphraseNeeded(UserError):
    """A key is encrypted, and there is nobody to ask."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is encrypted and nobody can be asked for its passphrase",
            next_step=f"run this in a terminal, or name a file with the passphrase in {PASSPHRASE_FILE}",
        )


class Files:
    """The operations on disk that change something; each is done, or is not, when the process ends."""

    def create(self, path: Path, *, content: bytes, mode: int) -> None:
        """A file that did not exist, with its mode from the first byte on, on disk before we go on."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def rename(self, path: Path, *, to: Path) -> None:
        """Put `path` in the place of `to`, whether or not there is something."""
        path.rename(to)
        folder = os.open(to.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        path.unlink(missing_ok=True)

    def put(self, path: Path, *, content: bytes, mode: int = 0o644) -> None:
        """Write `path` so that at any time either the old or the new content is there."""
        part = path.with_name(f".{path.name}.part")
        self.remove(part)
        self.create(part, content=content, mode=mode)
        self.rename(part, to=path)


DISK = Files()


def no_passphrase(path: Path) -> bytes:
    """For those who have nobody to ask; raises PassphraseNeeded."""
    raise PassphraseNeeded(path)


def passphrase_from(environment: Mapping[str, str]) -> bytes | None:
    """The passphrase in the file that `PASSPHRASE_FILE` names, without its line end; None without one.

    Raises OpenToOthers, and UserError when it cannot be read or is empty.
    """
    name = environment.get(PASSPHRASE_FILE, "")
    if not name:
        return None
    path = Path(name)
    try:
        _check_mode(path)
        text = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise UserError(
            f"{path}, which {PASSPHRASE_FILE} names, cannot be read ({error.strerror})",
            next_step="name a file with the passphrase",
        ) from error
    if not text:
        raise UserError(
            f"{path}, which {PASSPHRASE_FILE} names, is empty", next_step="write the passphrase into it"
        )
    return text


def key_in(path: Path, *, passphrase: Passphrase = no_passphrase) -> ec.EllipticCurvePrivateKey:
    """The private key in a file.

    Raises OSError, OpenToOthers, PassphraseNeeded, UnreadablePem, WrongPassphrase.
    """
    _check_mode(path)
    pem = path.read_bytes()
    word = passphrase(path) if is_encrypted(pem) else b""
    return key_from_pem(pem, what=str(path), passphrase=word)


def create_key(
    path: Path, *, key: ec.EllipticCurvePrivateKey, passphrase: bytes = b"", files: Files = DISK
) -> None:
    """Write a private key into a new file that only its owner may read; raises OSError.

    A file that is there stays: FileExistsError is raised. Two runs at a time are the caller's to prevent.
    """
    if path.exists():
        raise FileExistsError(errno.EEXIST, "a key is never overwritten", str(path))
    pem = key_to_pem(key, passphrase=passphrase)
    part = path.with_name(f".{path.name}.part")
    files.remove(part)
    files.create(part, content=pem, mode=0o600)
    files.rename(part, to=path)


def _check_mode(path: Path) -> None:
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    # A pipe has no mode that means anything: whoever opened it decided who writes into it.
    if stat.S_ISREG(status.st_mode) and mode & 0o077:
        raise OpenToOthers(path, mode=mode)

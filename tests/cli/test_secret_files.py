"""Files of private keys: their modes, their passphrases, and what never shows."""

import os
import stat
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mesh_core.identity import domain
from mesh_fakes.commands import Meshctl, complaint, done
from mesh_runtime.pem import WrongPassphrase
from mesh_runtime.pki import new_key
from mesh_runtime.secret_file import (
    PASSPHRASE_FILE,
    OpenToOthers,
    PassphraseNeeded,
    create_key,
    key_in,
    passphrase_from,
)
from mesh_runtime.trust_dir import init_trust_dir, load_trust_dir

WORD = b"correct horse"


def secret(path: Path, content: bytes = WORD) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_a_key_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        create_key(tmp_path / "a.key", key=new_key())
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.key"]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    create_key(tmp_path / "a.key", key=new_key())
    before = (tmp_path / "a.key").read_bytes()
    with pytest.raises(FileExistsError):
        create_key(tmp_path / "a.key", key=new_key())
    assert (tmp_path / "a.key").read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620, 0o666])
def test_a_key_that_others_can_reach_is_refused_with_the_chmod_to_run(tmp_path: Path, mode: int) -> None:
    create_key(tmp_path / "a.key", key=new_key())
    (tmp_path / "a.key").chmod(mode)
    with pytest.raises(OpenToOthers, match=rf"mode {mode:04o}\); run chmod 600 .*a\.key"):
        key_in(tmp_path / "a.key")


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_of_ones_own_is_read(tmp_path: Path, mode: int) -> None:
    key = new_key()
    create_key(tmp_path / "a.key", key=key)
    (tmp_path / "a.key").chmod(mode)
    assert key_in(tmp_path / "a.key").private_numbers() == key.private_numbers()


def test_an_encrypted_root_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    made = init_trust_dir(tmp_path / "t", domain=domain("a.internal"), now=datetime.now(UTC), passphrase=WORD)
    pem = (tmp_path / "t" / "root.key").read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert load_trust_dir(tmp_path / "t", passphrase=lambda _path: WORD) == made
    wrong_word = bytes(reversed(WORD))
    with pytest.raises(WrongPassphrase, match=r"does not open .*root\.key; try again") as wrong:
        load_trust_dir(tmp_path / "t", passphrase=lambda _path: wrong_word)
    assert "\n" not in str(wrong.value)
    told = "".join(traceback.format_exception(wrong.value))
    assert wrong_word.decode() not in told
    with pytest.raises(PassphraseNeeded, match=rf"run this in a terminal, or .* {PASSPHRASE_FILE}"):
        load_trust_dir(tmp_path / "t")


def test_no_key_shows_when_a_folder_is_printed(tmp_path: Path) -> None:
    made = init_trust_dir(tmp_path / "t", domain=domain("a.internal"), now=datetime.now(UTC))
    number = made.root.key.private_numbers().private_value
    assert "PRIVATE" not in repr(made)
    assert str(number) not in repr(made)
    assert f"{number:x}" not in repr(made)


def test_the_passphrase_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    path = secret(tmp_path / "word", WORD + b"\n")
    assert passphrase_from({PASSPHRASE_FILE: str(path)}) == WORD
    assert passphrase_from({}) is None


@pytest.mark.parametrize(
    ("content", "mode", "complaint"),
    [(b"\n", 0o600, "is empty"), (WORD, 0o644, "run chmod 600"), (None, 0, "cannot be read")],
)
def test_a_passphrase_file_that_is_none_is_said_so(
    tmp_path: Path, content: bytes | None, mode: int, complaint: str
) -> None:
    path = tmp_path / "word"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises((OpenToOthers, Exception), match=complaint):
        passphrase_from({PASSPHRASE_FILE: str(path)})


def test_init_encrypts_when_it_is_told_to(
    meshctl: Meshctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, word = tmp_path / "t", secret(tmp_path / "word")
    assert "nobody can be asked" in complaint(meshctl("trust", "init", "--dir", str(folder), "--encrypt"))
    assert not folder.exists()
    monkeypatch.setenv(PASSPHRASE_FILE, str(word))
    output = done(meshctl("trust", "init", "--dir", str(folder), "--encrypt"))
    assert (folder / "root.key").read_bytes().startswith(b"-----BEGIN ENCRYPTED")
    assert WORD.decode() not in output
    secret(word, b"hunter2")
    join = ("join", "--context", "e", "--cluster-id", "east", "--trust", str(folder))
    assert "does not open" in complaint(meshctl(*join))
    secret(word)
    assert "roster: generation 1, 1 members" in done(meshctl(*join, "--service-type", "nodeport"))

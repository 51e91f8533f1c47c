"""Image archives: the same entries give the same bytes, and other people's tools can read them."""

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from mesh_local.oci import Config, Entries, File, Folder, Link, write_image, write_layer

ENTRIES: Entries = {
    "usr/bin/tool": File(b"#!/bin/sh\n", executable=True),
    "etc/hosts": File(b"127.0.0.1 localhost\n"),
    "bin": Link("usr/bin"),
    "tmp": Folder(0o1777),
}
CONFIG = Config(entrypoint=("/usr/bin/tool",), environment=("LANG=C.UTF-8",), user="65532:65532")


def image(folder: Path, entries: Entries = ENTRIES) -> Path:
    folder.mkdir()
    write_layer(entries, to=folder / "layer")
    write_image([folder / "layer"], names=["example.test/tool:1"], config=CONFIG, to=folder / "image")
    return folder / "image"


def test_the_same_entries_in_another_order_give_the_same_bytes(tmp_path: Path) -> None:
    other = {name: ENTRIES[name] for name in reversed(sorted(ENTRIES))}
    assert image(tmp_path / "one").read_bytes() == image(tmp_path / "two", other).read_bytes()


def test_time_and_owner_of_a_copied_file_do_not_show(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    first = image(tmp_path / "one", {"file": File(source)}).read_bytes()
    os.utime(source, (1, 1))
    source.chmod(0o777)
    assert image(tmp_path / "two", {"file": File(source)}).read_bytes() == first


def test_tar_lists_the_entries_with_their_parents_modes_and_links(tmp_path: Path) -> None:
    write_layer(ENTRIES, to=tmp_path / "layer")
    listing = subprocess.run(
        ["tar", "--list", "--verbose", "--numeric-owner", "--file", tmp_path / "layer"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TZ": "UTC"},
    ).stdout.splitlines()
    shown = [(line.split()[0], line.split()[1], line.split("1970-01-01 00:00 ")[1]) for line in listing]
    assert shown == [
        ("lrwxrwxrwx", "0/0", "bin -> usr/bin"),
        ("drwxr-xr-x", "0/0", "etc/"),
        ("-rw-r--r--", "0/0", "etc/hosts"),
        ("drwxrwxrwt", "0/0", "tmp/"),
        ("drwxr-xr-x", "0/0", "usr/"),
        ("drwxr-xr-x", "0/0", "usr/bin/"),
        ("-rwxr-xr-x", "0/0", "usr/bin/tool"),
    ]


def test_the_manifest_names_image_configuration_and_layers(tmp_path: Path) -> None:
    with tarfile.open(image(tmp_path / "one")) as archive:

        def member(name: str) -> bytes:
            file = archive.extractfile(name)
            assert file is not None
            return file.read()

        (manifest,) = json.loads(member("manifest.json"))
        assert manifest["RepoTags"] == ["example.test/tool:1"]
        configuration = json.loads(member(manifest["Config"]))
        (layer,) = manifest["Layers"]
        digest = hashlib.sha256(member(layer)).hexdigest()
    assert configuration["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    assert configuration["config"]["User"] == "65532:65532"
    assert configuration["config"]["Entrypoint"] == ["/usr/bin/tool"]
    assert configuration["os"] == "linux"


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_layer({"file": File(tmp_path / "nowhere")}, to=tmp_path / "layer")

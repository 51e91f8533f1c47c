"""Builds of our Go modules: once, with what counts decided by us, with an error that says what to do.

A script stands for the Go toolchain: the real one takes minutes.
"""

import os
from pathlib import Path

import pytest

from mesh_fakes.silent import SilentProgress
from mesh_local.errors import CommandFault, MachineFault
from mesh_local.go_build import Module, build_environment, built, earlier_build, source_key

GO = """#!/bin/sh
case "$1" in
env) echo go1.99.0 ;;
list)
    echo 'go: downloading example.test/dependency v1.2.3' >&2
    printf 'example.test/one\\nexample.test/tool\\n' ;;
build)
    echo example.test/one >&2
    [ -z "$BROKEN" ] || { echo 'main.go:3: undefined: missing' >&2; exit 1; }
    echo example.test/tool >&2
    while [ "$1" != -o ]; do shift; done
    echo built > "$2" ;;
esac
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """A module of ours, and a Go on PATH."""
    folder = tmp_path / "tool"
    folder.mkdir()
    (folder / "go.mod").write_text("module example.test/tool\n\ngo 1.24.0\n")
    (folder / "go.sum").write_text("")
    (folder / "main.go").write_text("package main\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "go").write_text(GO)
    (programs / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Module(what="Tool 1", folder=folder, linker_flags="", instead="set TOOL")


@pytest.mark.asyncio
async def test_a_build_shows_downloads_and_packages_and_happens_once(module: Module) -> None:
    progress = SilentProgress()
    binary = await built(module, progress=progress)
    assert binary.read_text() == "built\n"
    assert list(binary.parent.iterdir()) == [binary]
    assert progress.began == ["Building Tool 1 with go1.99.0, once"]
    assert progress.details == [
        "downloading module 1: example.test/dependency",
        "package 1 of 2: example.test/one",
        "package 2 of 2: example.test/tool",
    ]
    again = SilentProgress()
    assert await built(module, progress=again) == binary
    assert again.began == []


@pytest.mark.asyncio
async def test_a_failed_build_names_the_reason_and_the_log(
    module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKEN", "yes")
    with pytest.raises(CommandFault, match=r"undefined: missing; read .*build-tool.log"):
        await built(module, progress=SilentProgress())


@pytest.mark.asyncio
async def test_a_changed_source_is_built_anew(module: Module) -> None:
    first = await built(module, progress=SilentProgress())
    (module.folder / "main.go").write_text("package main // changed\n")
    assert await built(module, progress=SilentProgress()) != first


@pytest.mark.asyncio
async def test_without_go_a_build_that_is_there_still_serves(module: Module) -> None:
    binary = await built(module, progress=SilentProgress())
    assert earlier_build(module) == binary


def test_without_go_and_without_a_build_the_error_says_what_to_install(module: Module) -> None:
    with pytest.raises(MachineFault, match=r"no Go; install Go >= 1\.24 or set TOOL"):
        earlier_build(module)


def test_linker_flags_are_part_of_the_key(module: Module) -> None:
    flagged = Module(what=module.what, folder=module.folder, linker_flags="-X a.b=c", instead="")
    assert source_key(flagged) != source_key(module)


def test_the_users_network_settings_stay_and_build_settings_do_not(tmp_path: Path) -> None:
    user = {"GOPROXY": "https://modules.test", "GONOSUMDB": "*", "GOFLAGS": "-mod=mod", "GOWORK": "x"}
    environment = build_environment(user, scratch=tmp_path)
    assert environment["GOPROXY"] == user["GOPROXY"]
    assert environment["GONOSUMDB"] == user["GONOSUMDB"]
    assert "-mod=mod" not in environment["GOFLAGS"].split()
    assert environment["GOWORK"] == "off"
    assert environment["CGO_ENABLED"] == "0"
    assert environment["GOTMPDIR"] == os.fspath(tmp_path)


def test_every_go_file_of_a_module_decides_its_key(module: Module) -> None:
    before = source_key(module)
    (module.folder / "more.go").write_text("package main\n")
    several = source_key(module)
    (module.folder / "more.go").write_text("package main // changed\n")
    changed = source_key(module)
    (module.folder / "more.go").unlink()
    assert len({before, several, changed}) == 3
    assert source_key(module) == before

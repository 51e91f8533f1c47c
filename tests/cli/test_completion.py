"""The Tab key, and the command as a plug-in of kubectl."""

import asyncio
import io
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mesh_cli.called import COMPLETE_VARIABLE, PLUGIN, as_called
from mesh_cli.completion import proposals
from mesh_cli.main import command
from mesh_cli.session import command_line
from mesh_fakes.object_server import write_kubeconfig
from mesh_local.binaries import Component, find_binaries
from mesh_runtime.progress import progress_for

ROOT = Path(__file__).parents[2]


def lines(*words: str) -> tuple[list[str], str]:
    """What is proposed, without its help, and the directive."""
    *found, directive = proposals(command, words).splitlines()
    return [line.partition("\t")[0] for line in found], directive


@pytest.mark.parametrize(
    ("words", "proposed", "directive"),
    [
        (("sta",), ["status"], ":4"),
        (("trust", "rot"), ["rotate"], ":4"),
        (("status", "--wat"), ["--watch"], ":4"),
        (("status", "-o", ""), ["table", "wide", "json", "yaml"], ":4"),
        (("completion", "z"), ["zsh"], ":4"),
        (("explain", "MESH-TRUST-00"), [f"MESH-TRUST-00{number}" for number in range(1, 10)], ":4"),
        (("--kubeconfig", ""), [], ":0"),
        (("local", "up", "--dir", ""), [], ":16"),
        (("nonsense", ""), [], ":4"),
    ],
)
def test_kubectl_is_told_what_could_be_typed(
    words: tuple[str, ...], proposed: list[str], directive: str
) -> None:
    found, said = lines(*words)
    assert said == directive
    if proposed:
        assert [word for word in found if word in proposed] == proposed
        assert all(word.startswith(words[-1]) for word in found)


def test_without_a_word_every_verb_is_proposed_with_its_help() -> None:
    text = proposals(command, ("",))
    assert "status\tMembers, peers" in text
    assert "trust\tThe clusterset's root of trust." in text


def test_contexts_come_from_the_kubeconfig_that_is_named(tmp_path: Path) -> None:
    file = write_kubeconfig(
        tmp_path / "k", servers={"e": "http://127.0.0.1:9", "w": "http://127.0.0.1:9"}, current="e"
    )
    assert lines("--kubeconfig", str(file), "status", "--context", "") == (["e", "w"], ":4")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script_that_asks_meshctl(shell: str) -> None:
    result = CliRunner().invoke(command, ["completion", shell], standalone_mode=False)
    assert result.exception is None
    assert f"{COMPLETE_VARIABLE}={shell}_complete" in result.stdout


def test_bash_takes_the_script_and_completes_a_verb(tmp_path: Path) -> None:
    """The script as it is printed, and the function that it defines, called as bash does."""
    program = tmp_path / "meshctl"
    program.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'from mesh_cli.main import main; main()' \"$@\"\n"
    )
    program.chmod(0o755)
    script = (
        "source <(meshctl completion bash); COMP_WORDS=(meshctl sta); COMP_CWORD=1; "
        '_meshctl_completion meshctl; echo "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=180
    )
    assert done.stdout.split() == ["status"], done.stderr


def test_a_plug_in_of_kubectl_speaks_of_kubectl_mesh() -> None:
    """In usage, in commands to be typed next, and in what errors tell to do."""

    @click.command
    def verb() -> None:
        click.echo(command_line(None, "status", "--context", "a b"))

    root = click.Group("meshctl", commands={"verb": verb})
    runner = CliRunner()
    assert runner.invoke(root, ["verb"], prog_name=PLUGIN).stdout == "kubectl mesh status --context 'a b'\n"
    assert runner.invoke(root, ["verb"], prog_name="meshctl").stdout == "meshctl status --context 'a b'\n"
    assert "Usage: kubectl mesh" in runner.invoke(command, ["status", "--help"], prog_name=PLUGIN).stdout
    assert (
        as_called("run meshctl join; meshctl-controller", name=PLUGIN)
        == "run kubectl mesh join; meshctl-controller"
    )


def test_kubectl_finds_the_plug_in_by_its_name(tmp_path: Path) -> None:
    built = asyncio.run(find_binaries(components=[Component.KUBECTL], progress=progress_for(io.StringIO())))
    # Our build is every program of Kubernetes, and which one is its name.
    (tmp_path / "kubectl").symlink_to(built.commands[Component.KUBECTL][0])
    program = tmp_path / "kubectl-mesh"
    run = "from mesh_cli.main import kubectl_mesh; kubectl_mesh()"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{run}' \"$@\"\n")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "KUBECONFIG": "/nowhere"}
    words = ["kubectl", "mesh", "status"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 1
    assert "there is no kubeconfig at /nowhere" in done.stderr
    shown = subprocess.run(
        ["kubectl", "mesh", "--help"], env=environment, capture_output=True, text=True, timeout=180
    )
    assert "Usage: kubectl mesh" in shown.stdout


def test_the_package_brings_the_plug_in_and_what_kubectl_asks_for_proposals() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert 'kubectl-mesh = "mesh_cli.main:kubectl_mesh"' in text
    assert 'kubectl_complete-mesh = "mesh_cli.completion:kubectl_complete"' in text

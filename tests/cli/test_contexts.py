"""--context and the kubeconfig: kubectl's rules, and what the Tab key offers."""

from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from mesh_cli.contexts import context_option
from mesh_cli.main import command
from mesh_fakes.object_server import write_kubeconfig
from mesh_runtime.kube import KubeconfigError, context_names, current_context


def write(file: Path, *, current: str, contexts: tuple[str, ...]) -> Path:
    return write_kubeconfig(file, servers={name: "http://127.0.0.1:9" for name in contexts}, current=current)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    (tmp_path / ".kube").mkdir()
    return tmp_path


def test_without_a_word_the_file_in_the_home_folder_counts(home: Path) -> None:
    write(home / ".kube" / "config", current="b", contexts=("b", "a"))
    assert current_context() == "b"
    assert context_names() == ["a", "b"]


def test_of_several_files_contexts_are_merged_and_the_first_that_names_one_is_current(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kubectl: the first to set a value wins (the library takes the last file's current context)."""
    none = write(home / "none", current="", contexts=("n",))
    first = write(home / "first", current="a", contexts=("a",))
    second = write(home / "second", current="b", contexts=("a", "b"))
    monkeypatch.setenv("KUBECONFIG", f"{none}:{home / 'absent'}:{first}:{second}")
    assert current_context() == "a"
    assert context_names() == ["a", "b", "n"]


def test_a_file_that_is_named_comes_before_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(write(home / "first", current="a", contexts=("a",))))
    assert current_context(kubeconfig=write(home / "named", current="z", contexts=("z",))) == "z"


def test_an_empty_variable_is_as_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / ".kube" / "config", current="b", contexts=("b",))
    monkeypatch.setenv("KUBECONFIG", "")
    assert current_context() == "b"


def test_a_pods_own_account_comes_last(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert current_context() == "in-cluster"
    write(home / ".kube" / "config", current="b", contexts=("b",))
    assert current_context() == "b"


def test_a_file_that_does_not_exist_is_said_so(home: Path) -> None:
    with pytest.raises(KubeconfigError, match="there is no kubeconfig at"):
        current_context(kubeconfig=home / "absent")


@click.command
@context_option()
def verb(context: str | None) -> None:
    """One that has the option."""


def offered(*words: str, incomplete: str) -> list[str]:
    root = click.Group("meshctl", params=list(command.params), commands={"verb": verb})
    complete = ShellComplete(root, {}, "meshctl", "_MESHCTL_COMPLETE")
    return [item.value for item in complete.get_completions(list(words), incomplete)]


def test_the_tab_key_offers_the_contexts_of_the_kubeconfig(home: Path) -> None:
    write(home / ".kube" / "config", current="east", contexts=("east", "eastern", "west"))
    named = write(home / "named", current="z", contexts=("z",))
    assert offered("verb", "--context", incomplete="") == ["east", "eastern", "west"]
    assert offered("verb", "--context", incomplete="ea") == ["east", "eastern"]
    assert offered("--kubeconfig", str(named), "verb", "--context", incomplete="") == ["z"]


def test_the_tab_key_is_silent_where_there_is_no_kubeconfig(home: Path) -> None:
    assert offered("verb", "--context", incomplete="") == []

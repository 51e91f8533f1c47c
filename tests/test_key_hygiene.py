"""Where keys and passphrases could slip out, by the look of the source: reprs, logs, texts.

What runs is looked at in tests/stories/test_no_key_is_shown.py; this is for the paths that no story takes.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = ("controller", "dns", "gateway", "meshctl")
# Names of values that nobody may read. `secret` is a Kubernetes Secret, whose repr has names alone.
SECRET = re.compile(r"_?(key_pem|private_key|issuer_key|passphrase|password|one_time|proof_key|secret_bytes)")
KEY_TYPE = re.compile(r"PrivateKey\b")
WRITES = {"info", "warning", "error", "debug", "exception", "critical", "echo", "secho", "print"}


def sources() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return [ROOT / name for name in listed if name.split("/")[0] in PRODUCT and (ROOT / name).is_file()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def last_name(node: ast.expr) -> str:
    """The identifier that a value is called by: `a.b.c` is c."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
        case _:
            return ""


def is_secret(node: ast.expr) -> bool:
    return SECRET.fullmatch(last_name(node)) is not None


def fields_of(tree: ast.AST) -> Iterator[tuple[ast.ClassDef, ast.AnnAssign]]:
    """Annotated fields of dataclasses and Structs; a Protocol's are none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            shapes = [ast.unparse(one) for one in (*node.decorator_list, *node.bases)]
            if any("dataclass" in shape or shape == "Struct" for shape in shapes):
                yield from ((node, line) for line in node.body if isinstance(line, ast.AnnAssign))


def is_hidden(owner: ast.ClassDef, line: ast.AnnAssign) -> bool:
    """Whether the field stays out of the repr: by `repr=False`, or by a `__repr__` of the class's own."""
    own = any(isinstance(one, ast.FunctionDef) and one.name == "__repr__" for one in owner.body)
    return own or (line.value is not None and "repr=False" in ast.unparse(line.value))


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_a_field_that_holds_a_key_does_not_show_in_a_repr(path: Path) -> None:
    for owner, line in fields_of(ast.parse(path.read_text())):
        shape = ast.unparse(line.annotation)
        # A function that takes a path and gives a passphrase is none itself.
        holds = KEY_TYPE.search(shape) or (is_secret(line.target) and shape in ("bytes", "str"))
        if holds:
            where = f"{relative(path)}:{line.lineno}"
            assert is_hidden(owner, line), f"{where}: field {last_name(line.target)} of {owner.name} shows"


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_no_key_or_passphrase_is_logged_printed_or_put_into_a_text(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        where = f"{relative(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call) and last_name(node.func) in WRITES:
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            found = [one for value in values for one in ast.walk(value) if isinstance(one, ast.expr)]
            assert not any(map(is_secret, found)), f"{where} writes {ast.unparse(node)[:80]}"
        if isinstance(node, ast.FormattedValue):
            assert not is_secret(node.value), f"{where} puts {last_name(node.value)} into a text"


def test_private_bytes_are_made_in_one_place() -> None:
    """Whoever else would write a key out must be seen in review."""
    makers = {relative(path) for path in sources() if "private_bytes(" in path.read_text()}
    # Those of local clusters are for their own API servers, which live as long as a test does.
    assert makers <= {"controller/mesh_runtime/pem.py", "meshctl/mesh_local/pki.py"}


def test_a_key_is_never_an_argument_or_a_variable_of_the_environment() -> None:
    for path in sources():
        text = path.read_text()
        assert not re.search(r"environ\W+\w*(PASSPHRASE|PRIVATE_KEY)\b(?!_FILE)", text), relative(path)
        assert not re.search(r'option\(\s*"--(passphrase|password|private-key)"', text), relative(path)


@pytest.mark.parametrize(
    "text",
    [
        "log.info('x', key=credentials.key_pem)",
        "print(passphrase)",
        "f'{self._passphrase}'",
        "echo(a(key_pem))",
    ],
)
def test_the_rule_sees_what_it_is_for(text: str) -> None:
    nodes = list(ast.walk(ast.parse(text)))
    assert any(isinstance(node, ast.expr) and is_secret(node) for node in nodes)

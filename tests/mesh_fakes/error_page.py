"""Writes docs/errors.md: every error that a person may read, under an id that keeps its meaning.

    python -m mesh_fakes.error_page

The page is the registry too: a class has the id under which it stands there, and `meshctl` reads it from
there. A new class gets the next number; one that is gone leaves its id on the list of those given up. What an
error says and what to do next are taken from the code that raises it, so the page cannot say otherwise. What
stands above the first error is written by hand, and kept.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

from mesh_cli.explain.pages import ERROR_HEADING, error_ids, given_up
from mesh_core.errors import Fault, MeshError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors.md"
PACKAGES = (
    "mesh_core",
    "mesh_runtime",
    "mesh_controller",
    "mesh_placement",
    "mesh_dns",
    "mesh_gateway",
    "mesh_local",
    "mesh_cli",
)
MOST_SAID = 12
"""Sentences of one error that are shown."""

_FAULTS = {
    Fault.OURS: "ours, or nobody's",
    Fault.PEER: "the other side's",
    Fault.USER: "what was typed or written",
    Fault.ENVIRONMENT: "the machine's, the network's or the API server's",
}
_MORE = {
    "mesh_core.errors.MeshError": "do what its line says",
    "mesh_cli.placement.what_if.NotPlaced": "apply it, then see meshctl explain placement",
    "mesh_core.peer_identity.IdentityUsedTwice": "let one of the two clusters join under another id",
    "mesh_core.peer_session.ClustersetLeft": "join it again and link it, if that was not wanted",
    "mesh_core.peer_session.PeerLeft": "see to its reason; the controller dials again by itself",
    "mesh_gateway.errors.GatewayError": "see meshctl gateways, and the gateway's log",
    "mesh_gateway.errors.NoStream": "see meshctl gateways on both sides",
    "mesh_runtime.kube.bounds.TooMuch": "see who wrote so much; nothing of it was taken",
    "mesh_runtime.kube.errors.ApiError": "401: renew the credentials of the context; 403: ask for "
    "the missing permission; 404: check the name, and that the kind is installed (meshctl join); 409: "
    "repeat; 400 and 422: correct the object; else try again, and look into the API server's log",
    "mesh_runtime.kube.errors.NotTrusted": "compare the CA of the kubeconfig with the API server's",
}
"""What to do next, where the code says it only in the moment."""


@dataclass(slots=True)
class Said:
    """What an error is raised with: sentences, and the next step of each."""

    pairs: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: str, step: str) -> None:
        if (what, step) not in self.pairs:
            self.pairs.append((what, step))


def error_classes() -> list[type[MeshError]]:
    """MeshError and all below it, by module and name; imports every module of ours."""
    for package in map(importlib.import_module, PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found = {one for one in _below(MeshError) if one.__module__.partition(".")[0] in PACKAGES}
    return sorted(found, key=full_name)


def full_name(one: type[MeshError]) -> str:
    """As the page names a class."""
    return f"{one.__module__}.{one.__qualname__}"


def page(before: str) -> str:
    """The page as the code is now, with the ids of `before`."""
    classes = {full_name(one): one for one in error_classes()}
    held = {name: id_ for name, id_ in error_ids(before).items() if name in classes}
    gone = {
        **given_up(before),
        **{id_: name for name, id_ in error_ids(before).items() if name not in classes},
    }
    number = max((int(id_[-4:]) for id_ in (*held.values(), *gone)), default=0)
    for name in [full_name(MeshError), *classes]:
        if name not in held:
            number += 1
            held[name] = f"MESH-E-{number:04}"
    said = _said()
    entries = [
        _entry(classes[name], id_=id_, said=said.get(name, Said()))
        for name, id_ in sorted(held.items(), key=lambda item: item[1])
    ]
    lost = "".join(f"- {id_}: `{name}`\n" for id_, name in sorted(gone.items())) or "None yet.\n"
    head = before.partition("\n### ")[0].rstrip() + "\n"
    return "\n".join([head, *entries, f"## Given up\n\n{lost}"])


def _below(one: type[MeshError]) -> Iterator[type[MeshError]]:
    yield one
    for each in one.__subclasses__():
        yield from _below(each)


def _entry(one: type[MeshError], *, id_: str, said: Said) -> str:
    text = _first(inspect.getdoc(one) or "")
    lines = [
        f"{ERROR_HEADING} {id_}",
        "",
        f"`{full_name(one)}`",
        "",
        f"{text} Whose fault: {_FAULTS[one.fault]}.",
        "",
    ]
    steps = {step for _what, step in said.pairs}
    if full_name(one) in _MORE:
        lines += [f"*Next:* {_MORE[full_name(one)]}", ""]
    elif not said.pairs:
        raise LookupError(f"nothing says what to do about {full_name(one)}: add it to _MORE")
    elif len(steps) == 1:
        lines += [f"- {what}" for what, _step in said.pairs[:MOST_SAID] if what]
        lines += ["", f"*Next:* {steps.pop()}", ""]
    else:
        for what, step in said.pairs[:MOST_SAID]:
            lines += [f"- {what or 'else'}", f"  *Next:* {step}" if step else ""]
        lines += [""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines))


def _first(doc: str) -> str:
    """The first paragraph of a docstring, on one line."""
    text = " ".join(doc.partition("\n\n")[0].split())
    return text if text.endswith((".", ":")) else f"{text}."


@cache
def _said() -> dict[str, Said]:
    """Of each class, by full name, what the code raises it with."""
    found: dict[str, Said] = {}
    whats: dict[str, list[str]] = {}
    for name in sorted(one for one in _module_names()):
        module = importlib.import_module(name)
        _read(module, found=found, whats=whats)
    for name, said in found.items():
        # A class that only passes the sentence on: those are where it is raised.
        if [what for what, _step in said.pairs] == [""] and name in whats:
            step = said.pairs[0][1]
            said.pairs = [(what, step) for what in dict.fromkeys(whats[name])]
    return found


def _module_names() -> Iterator[str]:
    for package in map(importlib.import_module, PACKAGES):
        yield from (
            module.name
            for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
            if not module.name.endswith("__main__")
        )


def _read(module: ModuleType, *, found: dict[str, Said], whats: dict[str, list[str]]) -> None:
    tree = _tree(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            _of_class(node, module, found)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            one = getattr(module, node.func.id, None)
            if isinstance(one, type) and issubclass(one, MeshError):
                name, what = full_name(one), _text(node.args[0], module) if node.args else ""
                step = _step(node, module)
                if step:
                    found.setdefault(name, Said()).add(what, step)
                elif _is_sentence(what):
                    whats.setdefault(name, []).append(what)


def _of_class(node: ast.ClassDef, module: ModuleType, found: dict[str, Said]) -> None:
    one = getattr(module, node.name, None)
    if not (isinstance(one, type) and issubclass(one, MeshError)):
        return
    for call in ast.walk(node):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "__init__"
        ):
            step = _step(call, module)
            if step and step != "as its line says":
                what = _text(call.args[0], module) if call.args else ""
                found.setdefault(full_name(one), Said()).add(what if _is_sentence(what) else "", step)


def _step(call: ast.Call, module: ModuleType) -> str:
    step = next((_text(word.value, module) for word in call.keywords if word.arg == "next_step"), "")
    return "as its line says" if step and not _is_sentence(f"{step} ") else step


def _is_sentence(text: str) -> bool:
    return bool(re.search(r"[a-z]{2}.* ", text))


@cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _text(node: ast.expr, module: ModuleType) -> str:
    """The sentence that an expression makes, with CAPITALS for what is known only when it is raised."""
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.JoinedStr(values=values):
            return "".join(_text(each, module) for each in values)
        case ast.FormattedValue(value=value):
            return _text(value, module)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left, module) + _text(right, module)
        case ast.IfExp(body=body, orelse=orelse):
            return " or: ".join(filter(None, (_text(body, module), _text(orelse, module))))
        case ast.Name(id=name):
            known = getattr(module, name, None)
            return (
                str(known) if isinstance(known, str | int) and not isinstance(known, bool) else _capital(name)
            )
        case ast.Attribute(attr=name):
            return _capital(name)
        case (
            ast.Subscript(value=value)
            | ast.Call(args=[ast.Name() as value])
            | ast.Call(args=[ast.Attribute() as value])
        ):
            return _text(value, module)
        case _:
            return "..."


def _capital(name: str) -> str:
    return name.strip("_").upper()


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text() if PAGE.exists() else ""))

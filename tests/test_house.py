"""The layout rules that a tool can check, so that nobody has to remember them."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {
    "meshctl": ["mesh_cli", "mesh_local"],
    "controller": ["mesh_core", "mesh_runtime", "mesh_controller", "mesh_placement"],
    "dns": ["mesh_dns"],
    "gateway": ["mesh_gateway"],
}
PURE = {"asyncio", "logging", "os", "random", "socket", "ssl", "subprocess", "threading", "time"}
# Files outside mesh_core that promise to be pure too, by the rooms' own signs.
PURE_FILES = [
    "gateway/mesh_gateway/admission.py",
    "gateway/mesh_gateway/affinity.py",
    "gateway/mesh_gateway/balance.py",
    "gateway/mesh_gateway/client_hello.py",
    "gateway/mesh_gateway/debug_page.py",
    "gateway/mesh_gateway/datagrams.py",
    "gateway/mesh_gateway/cluster_chooser.py",
    "gateway/mesh_gateway/egress_routes.py",
    "gateway/mesh_gateway/ejection.py",
    "gateway/mesh_gateway/entry.py",
    "gateway/mesh_gateway/ground.py",
    "gateway/mesh_gateway/ingress_routes.py",
    "gateway/mesh_gateway/limits.py",
    "controller/mesh_placement/access/answers.py",
    "controller/mesh_placement/access/framing.py",
    "controller/mesh_placement/access/heads.py",
    "controller/mesh_runtime/metrics_merge.py",
    "gateway/mesh_gateway/metric_numbers.py",
    "gateway/mesh_gateway/metrics.py",
    "gateway/mesh_gateway/proxy_header.py",
    "gateway/mesh_gateway/route.py",
    "gateway/mesh_gateway/public_routes.py",
    "gateway/mesh_gateway/reserved.py",
    "gateway/mesh_gateway/route_table.py",
    "gateway/mesh_gateway/silence.py",
    "gateway/mesh_gateway/sni.py",
    "gateway/mesh_gateway/sources.py",
    "gateway/mesh_gateway/udp_queue.py",
    "dns/mesh_dns/question.py",
    "dns/mesh_dns/answer.py",
    "dns/mesh_dns/counts.py",
    "dns/mesh_dns/table.py",
    "dns/mesh_dns/hot.py",
    "dns/mesh_dns/imports.py",
    "dns/mesh_dns/endpoints.py",
    "dns/mesh_dns/named.py",
    "dns/mesh_dns/entry.py",
    "dns/mesh_dns/chaos.py",
    "dns/mesh_dns/cookie.py",
    "dns/mesh_dns/guard.py",
    "dns/mesh_dns/limit.py",
    "dns/mesh_dns/reverse.py",
    "dns/mesh_dns/siphash.py",
    "dns/mesh_dns/nearness.py",
    "dns/mesh_dns/settings.py",
    "dns/mesh_dns/sources.py",
    "dns/mesh_dns/wire.py",
    "bench/mesh_bench/attempts.py",
    "bench/mesh_bench/comparisons.py",
    "bench/mesh_bench/death_rows.py",
    "bench/mesh_bench/dns_figures.py",
    "bench/mesh_bench/dns_scene.py",
    "bench/mesh_bench/envoy_config.py",
    "bench/mesh_bench/figures.py",
    "bench/mesh_bench/gateway_objects.py",
    "bench/mesh_bench/gateway_plan.py",
    "bench/mesh_bench/listening.py",
    "bench/mesh_bench/name_objects.py",
    "bench/mesh_bench/name_rows.py",
    "bench/mesh_bench/name_turns.py",
    "bench/mesh_bench/plain_config.py",
    "bench/mesh_bench/placement_scene.py",
    "bench/mesh_bench/propagation_rows.py",
    "bench/mesh_bench/registration_rows.py",
    "bench/mesh_bench/results.py",
    "bench/mesh_bench/rotation_end.py",
    "bench/mesh_bench/scene.py",
    "bench/mesh_bench/slopes.py",
    "bench/mesh_bench/work_samples.py",
    "meshctl/mesh_cli/check/api.py",
    "meshctl/mesh_cli/check/certificate.py",
    "meshctl/mesh_cli/check/findings.py",
    "meshctl/mesh_cli/check/live.py",
    "meshctl/mesh_cli/check/names.py",
    "meshctl/mesh_cli/check/peers.py",
    "meshctl/mesh_cli/check/programs.py",
    "meshctl/mesh_cli/check/registry.py",
    "meshctl/mesh_cli/check/render.py",
    "meshctl/mesh_cli/check/rights.py",
    "meshctl/mesh_cli/check/services.py",
    "meshctl/mesh_cli/check/times.py",
    "meshctl/mesh_cli/check/trust.py",
    "meshctl/mesh_cli/check/verdict.py",
    "meshctl/mesh_cli/dns/render.py",
    "meshctl/mesh_cli/dns/reply.py",
    "meshctl/mesh_cli/dns/set_ups.py",
    "meshctl/mesh_cli/dns/truth.py",
    "meshctl/mesh_cli/dns/verdict.py",
    "meshctl/mesh_cli/dns/way.py",
    "meshctl/mesh_cli/gather/bundle.py",
    "meshctl/mesh_cli/gather/plan.py",
    "meshctl/mesh_cli/gather/redact.py",
    "meshctl/mesh_cli/gateways/render.py",
    "meshctl/mesh_cli/gateways/survey.py",
    "meshctl/mesh_cli/dashboard/guard.py",
    "meshctl/mesh_cli/graph/drawing.py",
    "meshctl/mesh_cli/graph/layout.py",
    "meshctl/mesh_cli/graph/markup.py",
    "meshctl/mesh_cli/graph/picture.py",
    "meshctl/mesh_cli/graph/sections.py",
    "meshctl/mesh_cli/graph/svg.py",
    "meshctl/mesh_cli/graph/words.py",
    "meshctl/mesh_cli/install/inventory.py",
    "meshctl/mesh_cli/bench/figures.py",
    "meshctl/mesh_cli/events/render.py",
    "meshctl/mesh_cli/events/timeline.py",
    "meshctl/mesh_cli/peers/render.py",
    "meshctl/mesh_cli/peers/survey.py",
    "meshctl/mesh_cli/services/render.py",
    "meshctl/mesh_cli/services/survey.py",
    "meshctl/mesh_cli/trace/exporting.py",
    "meshctl/mesh_cli/trace/hop.py",
    "meshctl/mesh_cli/trace/importing.py",
    "meshctl/mesh_cli/trace/packet_way.py",
    "meshctl/mesh_cli/trace/render.py",
    "meshctl/mesh_cli/trace/scene.py",
    "meshctl/mesh_cli/trace/verdict.py",
    "meshctl/mesh_cli/status/links.py",
    "meshctl/mesh_cli/verify/cases.py",
    "meshctl/mesh_cli/verify/render.py",
    "meshctl/mesh_cli/status/survey.py",
    "meshctl/mesh_cli/trust/render.py",
    "meshctl/mesh_cli/trust/survey.py",
    "meshctl/mesh_cli/dns/corefile.py",
    "meshctl/mesh_cli/paint.py",
    "meshctl/mesh_cli/table.py",
    "meshctl/mesh_cli/status/render.py",
]


def tracked() -> list[Path]:
    """The files of the repository, as git would commit them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def sources() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def product() -> list[Path]:
    return [path for path in sources() if path.relative_to(ROOT).parts[0] in {*ROOMS, "bench"}]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_a_sign_and_is_no_package(room: str) -> None:
    assert (ROOT / room / "README.md").is_file()
    assert not (ROOT / room / "__init__.py").exists(), "a room importable as `dns` destroys dnspython"


@pytest.mark.parametrize("package", [f"{room}/{name}" for room, names in ROOMS.items() for name in names])
def test_a_package_is_typed_and_says_what_it_is_for(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    assert ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text()))


def test_every_package_of_a_room_is_known_to_the_build_and_to_the_import_contracts() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    built = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert built == {f"{room}/{name}" for room, names in ROOMS.items() for name in names}
    known = set(project["tool"]["importlinter"]["root_packages"])
    assert known == {name for names in ROOMS.values() for name in names}
    found = {path.parent.name for room in ROOMS for path in (ROOT / room).glob("*/__init__.py")}
    assert found == known


@pytest.mark.parametrize("path", product(), ids=relative)
def test_a_file_begins_by_saying_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "no docstring at the head of the file"


@pytest.mark.parametrize("path", product(), ids=relative)
def test_a_file_holds_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400, "look for the second idea in this file"


@pytest.mark.parametrize("path", product(), ids=relative)
def test_a_function_is_one_step(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("name", PURE_FILES)
def test_a_pure_file_touches_nothing(name: str) -> None:
    found = set(imports(ast.parse((ROOT / name).read_text())))
    assert not found & PURE


@pytest.mark.parametrize("path", product(), ids=relative)
def test_no_room_for_leftovers(path: Path) -> None:
    assert path.stem not in {"utils", "common", "helpers", "base", "types"}


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_a_silenced_checker_says_why(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if re.search(r"# type: ignore|# noqa", line) and path != Path(__file__):
            assert re.search(r"# (type: ignore\[[\w, -]+\]|noqa: [A-Z0-9, ]+)\s+# \w", line), (
                f"{relative(path)}:{number} silences a checker without a code and a reason"
            )


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_no_test_is_skipped_and_nothing_is_left_to_do(path: Path) -> None:
    if path == Path(__file__):
        return
    text = path.read_text()
    assert not re.search(r"pytest\.(mark\.)?(skip|xfail)|NotImplementedError|\b(TODO|FIXME|XXX)\b", text)


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    registry = re.compile(
        r"pypi\.org|pythonhosted|proxy\.golang\.org|sum\.golang\.org|deb\.debian\.org|registry\.npmjs"
    )
    machine = re.compile(r"(?<![\w.])/(root|work|home/\w+)/")
    for path in tracked():
        if path == Path(__file__) or path.name in {"go.sum", "dev.lock"}:
            continue
        text = path.read_text(errors="replace")
        assert not registry.search(text), f"{relative(path)} names a package registry"
        assert not machine.search(text), f"{relative(path)} names a path of one machine"


def test_no_private_key_lies_in_the_repository() -> None:
    key = re.compile(r"-----BEGIN (EC |RSA |ENCRYPTED )?PRIVATE KEY-----\n[A-Za-z0-9+/]{20}")
    for path in tracked():
        assert not key.search(path.read_text(errors="replace")), f"{relative(path)} holds a private key"


def test_every_direct_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"]]
    for group in groups.values():
        wanted += [entry for entry in group if isinstance(entry, str)]
    names = {re.split(r"[^A-Za-z0-9_.-]", entry)[0].lower() for entry in wanted}
    text = (ROOT / "docs/dependencies.md").read_text().lower()
    assert not {name for name in names if f"`{name}`" not in text}


def test_every_link_in_the_docs_leads_somewhere() -> None:
    for path in tracked():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
            if not re.match(r"[a-z]+:", target):
                assert (path.parent / target).exists(), f"{relative(path)} links to {target}"


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in sources() if path.name.startswith("test_")]
    assert len(names) == len(set(names))

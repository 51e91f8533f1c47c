"""What goes into images: shared libraries, packages, bytecode; and keys that follow it."""

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from mesh_local import distributions
from mesh_local.bytecode import with_bytecode
from mesh_local.elf import is_library, shared_libraries
from mesh_local.native import ALL
from mesh_local.oci import Entries, File
from mesh_local.program_image import program_recipe

# PEP 552: after the magic number, a word of flags; bit 0 says hash-based, bit 1 says check the source.
UNCHECKED_HASH = b"\x01\x00\x00\x00"


def test_the_closure_of_the_interpreter_has_loader_and_c_library() -> None:
    entries = shared_libraries([Path(sys.executable).resolve()], carried=[])
    names = {name.rpartition("/")[2] for name in entries}
    assert "libc.so.6" in names
    assert any(name.startswith("ld-linux") for name in names)
    assert not any(name.startswith("/") for name in entries)


def test_libraries_in_a_carried_folder_are_left_out() -> None:
    program = [Path(sys.executable).resolve()]
    (place,) = [
        entry.content
        for name, entry in shared_libraries(program, carried=[]).items()
        if name.endswith("/libc.so.6") and isinstance(entry, File)
    ]
    assert isinstance(place, Path)
    rest = shared_libraries(program, carried=[place.parent])
    assert not any(name.endswith("/libc.so.6") for name in rest)


def test_a_script_needs_no_libraries(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert shared_libraries([tmp_path / "script"], carried=[]) == {}


def test_extension_modules_and_versioned_libraries_are_libraries() -> None:
    assert is_library("loop.cpython-311-x86_64-linux-gnu.so")
    assert is_library("libssl.so.3")
    assert not is_library("resources.solid")


def test_pods_get_what_we_require_but_not_what_only_people_use() -> None:
    names = {dist.name for dist in distributions.needed_in_pods()}
    wanted = {"aiohttp", "multidict", "kubernetes", "uvloop", "msgspec", "cryptography", "prometheus_client"}
    assert wanted <= names
    assert names.isdisjoint({"click", "rich", "pyroute2", "pygments", "pytest", "clusterset-mesh"})


def test_the_generated_kubernetes_classes_stay_out_and_the_client_stays_in() -> None:
    (library,) = (dist for dist in distributions.needed_in_pods() if dist.name == "kubernetes")
    names = {name for name, _ in distributions.files_for_pods(library)}
    assert {"kubernetes/aio/client/rest.py", "kubernetes/aio/client/models/__init__.py"} <= names
    assert not any(name.endswith("core_v1_api.py") for name in names)


def test_bytecode_is_not_compared_with_its_source_and_names_the_images_path(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("def where(): raise ValueError\n")
    layer: Entries = {"opt/module.py": File(source), "opt/broken.py": File(tmp_path / "broken.py")}
    (tmp_path / "broken.py").write_text("def (\n")
    with with_bytecode(layer) as entries:
        added = entries.keys() - layer.keys()
        cached = importlib.util.cache_from_source("opt/module.py")
        assert added == {cached}
        compiled = entries[cached]
        assert isinstance(compiled, File) and isinstance(compiled.content, Path)
        content = compiled.content.read_bytes()
    assert content[4:8] == UNCHECKED_HASH
    assert b"/opt/module.py" in content
    assert os.fsencode(tmp_path) not in content


def test_a_changed_program_file_changes_only_the_uppermost_layer(tmp_path: Path) -> None:
    # A second interpreter sees a copy of one package first on its path, as an editable checkout would be.
    copy = tmp_path / "mesh_dns"
    copy.mkdir()
    (copy / "__init__.py").write_text('"""Another one."""\n')
    here = [layer.key for layer in program_recipe().layers]
    script = (
        "from mesh_local.program_image import program_recipe\n"
        "print(*(layer.key for layer in program_recipe().layers))"
    )
    there = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert there[:-1] == here[:-1]
    assert there[-1] != here[-1]


def test_our_programs_run_as_an_unprivileged_user_under_a_tag_of_their_content() -> None:
    recipe = program_recipe()
    assert recipe.config.user == "65532:65532"
    assert recipe.tag is None


@pytest.mark.parametrize("package", [one.package for one in ALL])
def test_machine_code_lies_beside_its_sources(package: str, tmp_path: Path) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    made = tmp_path / package
    made.mkdir()
    (made / f"main{suffix}").write_bytes(b"machine code")
    (tmp_path / f"{package}_native__mypyc{suffix}").write_bytes(b"what it shares")
    with program_recipe(native={package: tmp_path}).layers[-1].entries() as entries:
        (source,) = [name for name in entries if name.endswith(f"/{package}/main.py")]
        site = source.removesuffix(f"/{package}/main.py")
        assert f"{site}/{package}/main{suffix}" in entries
        assert f"{site}/{package}_native__mypyc{suffix}" in entries

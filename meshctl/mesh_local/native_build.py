"""`python -m mesh_local.native_build PACKAGE`: compiles the busy modules of the package in this folder.

The machine code is put beside each source, and what the modules share beside the package. MYPYPATH names
where our other packages are. Needs mypy, setuptools and a C compiler.
"""

import shutil
import sys
from os import cpu_count
from pathlib import Path

from mesh_local.native import ALL, Compiled

_OPTIONS = """\
[mypy]
explicit_package_bases = true

[mypy-kubernetes.*,aiohttp.*,pydantic.*,cryptography.*,prometheus_client.*]
follow_imports = skip
"""
"""Types are checked by `make check`; here only those count that the compiled modules touch."""
_LEVEL = "2"


def build(compiled: Compiled) -> None:
    """Compiles its modules. Whatever the compilers complain of ends the program."""
    # What only developers have is looked for when it is needed: this file is part of the wheel.
    from mypyc.build import mypycify
    from setuptools import Distribution

    options, work = Path("native.ini"), Path("build")
    options.write_text(_OPTIONS)
    files = [f"{compiled.package}/{name}.py" for name in compiled.modules]
    modules = mypycify(
        ["--config-file", str(options), *files],
        opt_level=_LEVEL,
        multi_file=True,
        group_name=compiled.library,
    )
    command = Distribution({"name": compiled.library, "ext_modules": modules}).get_command_obj("build_ext")
    command.set_undefined_options("build", ("build_lib", "build_lib"))
    command.inplace = True
    command.parallel = cpu_count()
    command.ensure_finalized()
    command.run()
    options.unlink()
    for folder in (work, Path(".mypy_cache")):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    build(next(one for one in ALL if one.package == sys.argv[1]))

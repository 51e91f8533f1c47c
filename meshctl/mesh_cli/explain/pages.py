"""The pages under docs/ that explain ids: which ids stand in them, and what they say of one.

A page has a heading of the third level for each id; what is explained ends with the next heading.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ERROR_HEADING: Final = "###"
ID: Final = re.compile(r"MESH-[A-Z]+-\d{3,4}")
PAGES: Final = ("errors.md", "checks.md", "registration.md")
_SECTION = re.compile(r"^### (MESH-[A-Z]+-\d{3,4})[^\n]*\n(.*?)(?=^#{1,3} |\Z)", re.MULTILINE | re.DOTALL)
_CLASS = re.compile(r"^### (MESH-E-\d{4})\n\n`([\w.]+)`$", re.MULTILINE)
_GIVEN_UP = re.compile(r"^- (MESH-E-\d{4}): `([\w.]+)`$", re.MULTILINE)


def sections(page: str) -> dict[str, str]:
    """What stands under each id, as Markdown."""
    return {id_: text.strip() for id_, text in _SECTION.findall(page)}


def error_ids(page: str) -> dict[str, str]:
    """The id of each class of errors, by `module.Class`."""
    return {name: id_ for id_, name in _CLASS.findall(page)}


def given_up(page: str) -> dict[str, str]:
    """Ids that are not given again, and whose they were."""
    return dict(_GIVEN_UP.findall(page))


def shipped(name: str) -> str:
    """A page: in the wheel beside our package, or in the checkout; "" where there is none."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "pages", here.parents[3] / "docs"):
        if (folder / name).is_file():
            return (folder / name).read_text()
    return ""


def id_of(error: BaseException, *, ids: Mapping[str, str]) -> str:
    """The id of an error's class, or of the nearest above it that has one; "" for none."""
    names = (f"{one.__module__}.{one.__qualname__}" for one in type(error).__mro__)
    return next((ids[name] for name in names if name in ids), "")

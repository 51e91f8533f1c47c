"""Plug-ins of the scheduler are found in whatever package is installed beside us."""

import sys
import textwrap
from pathlib import Path

import pytest

from mesh_placement.hub.placing.plugins import PluginRefused, with_installed
from mesh_placement.schedule.plugins import FILTER_GROUP, SCORE_GROUP, Filter, Plugins

NONE = Plugins(filters=(), scores=(), dividers=())
CODE = """
    class Moon:
        name = "Moon"

        def reject(self, look, wanted, clusters):
            return {}

    class Sun:
        name = "Sun"
        default_weight = 1

        def score(self, look, wanted, clusters):
            return {}

    moon = Moon()
    nothing = object()
"""


def installed(folder: Path, *entries: str, group: str = FILTER_GROUP, package: str = "sky_plugins") -> None:
    """A package as pip leaves it."""
    (folder / f"{package}.py").write_text(textwrap.dedent(CODE))
    info = folder / f"{package}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *entries, ""]))


@pytest.fixture(autouse=True)
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sky_plugins", raising=False)


def test_an_installed_plug_in_comes_behind_those_that_are_built_in(tmp_path: Path) -> None:
    installed(tmp_path, "moon = sky_plugins:Moon")
    (moon,) = with_installed(NONE).filters
    assert moon.name == "Moon"
    assert isinstance(moon, Filter)


def test_a_plug_in_is_an_object_or_a_class_that_makes_one(tmp_path: Path) -> None:
    installed(tmp_path, "moon = sky_plugins:moon")
    assert [one.name for one in with_installed(NONE).filters] == ["Moon"]


def test_a_score_is_found_by_its_own_group(tmp_path: Path) -> None:
    installed(tmp_path, "sun = sky_plugins:Sun", group=SCORE_GROUP)
    found = with_installed(NONE)
    assert [one.name for one in found.scores] == ["Sun"]
    assert found.filters == ()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (("gone = sky_plugins:Gone",), "AttributeError"),
        (("gone = no_such_package:Gone",), "ModuleNotFoundError"),
        (("nothing = sky_plugins:nothing",), "it is no Filter"),
        (("sun = sky_plugins:Sun",), "it is no Filter"),
        (("one = sky_plugins:Moon", "two = sky_plugins:moon"), "there is a Filter Moon already"),
    ],
)
def test_a_plug_in_that_cannot_be_used_stops_the_hub_since_it_might_be_what_forbids(
    tmp_path: Path, entries: tuple[str, ...], words: str
) -> None:
    installed(tmp_path, *entries)
    with pytest.raises(PluginRefused, match=words):
        with_installed(NONE)

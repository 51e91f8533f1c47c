"""The pictures of the README and the documents: they are there, and the way they are made works."""

import json
import re
from pathlib import Path

import pytest
import yaml

from browser.conftest import Land
from browser.screenshots import pictures
from browser.shown_pair import CONTEXTS, Shown, is_worth_a_picture, manifests
from browser.status_picture import IMAGES, PICTURE, RECORD, picture

ROOT = Path(__file__).parents[2]
_SHOWN = re.compile(r"!\[[^]]+\]\(([^)]+)\)")
MADE = {"status.json", "status.svg", "graph.svg", "dashboard.png", "dashboard-phone.png"}


def test_the_picture_is_drawn_from_what_is_recorded_beside_it() -> None:
    """Another table is another picture: run PYTHONPATH=tests python -m browser.status_picture."""
    assert picture((IMAGES / RECORD).read_bytes()) == (IMAGES / PICTURE).read_text()


def test_every_picture_that_a_page_shows_is_there_and_small_and_every_other_is_gone() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = {
        (page.parent / name).resolve().relative_to(IMAGES).name
        for page in pages
        for name in _SHOWN.findall(page.read_text())
    }
    assert {"status.svg", "graph.svg", "dashboard.png", "dashboard-phone.png"} == shown
    assert {one.name for one in IMAGES.iterdir()} == MADE
    assert all(one.stat().st_size < 300_000 for one in IMAGES.iterdir())


def test_the_readme_shows_status_graph_and_dashboard() -> None:
    shown = _SHOWN.findall((ROOT / "README.md").read_text())
    assert shown == ["docs/images/status.svg", "docs/images/graph.svg", "docs/images/dashboard.png"]


@pytest.mark.parametrize("name", ["status.svg", "graph.svg", "status.json"])
def test_a_picture_loads_nothing_from_elsewhere_and_names_no_folder(name: str) -> None:
    text = (IMAGES / name).read_text()
    assert "@font-face" not in text and "url(http" not in text and "<image" not in text
    assert not re.search(r"/(?:root|home|tmp|work)/", text)


def test_both_clusters_of_the_picture_export_a_checkout_and_each_one_thing_more() -> None:
    kinds = {cluster: list(yaml.safe_load_all(manifests(cluster))) for cluster in CONTEXTS}
    exports = {
        cluster: [one["metadata"]["name"] for one in documents if one["kind"] == "ServiceExport"]
        for cluster, documents in kinds.items()
    }
    assert exports == {"east": ["cart", "checkout"], "west": ["search", "checkout"]}


_FINE = {"state": "fine", "ready": 6, "wanted": 6}
_LINK = {"state": "fine", "rttSeconds": 0.002, "bytesForth": 1}
_SERVICES = [
    {"name": name, "importers": ["east", "west"], "conflict": "ports" if name == "checkout" else ""}
    for name in ("cart", "checkout", "hello", "search")
]


@pytest.mark.parametrize(
    ("changed", "is_worth"),
    [
        ({}, True),
        ({"clusters": [_FINE, {**_FINE, "ready": 5}]}, False),
        ({"links": [{**_LINK, "rttSeconds": None}]}, False),
        ({"links": [{**_LINK, "bytesForth": 0}]}, False),
        ({"services": _SERVICES[1:]}, False),
        ({"services": [{**one, "importers": ["east"]} for one in _SERVICES]}, False),
        ({"services": [{**one, "conflict": ""} for one in _SERVICES]}, False),
    ],
)
def test_a_picture_is_taken_when_all_that_it_should_show_is_there(
    changed: dict[str, object], is_worth: bool
) -> None:
    graph = {"clusters": [_FINE, _FINE], "links": [_LINK], "services": _SERVICES, **changed}
    assert is_worth_a_picture(json.dumps(graph)) is is_worth


@pytest.mark.asyncio
async def test_pictures_are_made_of_the_clusters_that_are_given(land: Land, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    await pictures(Shown(land.kubeconfig, CONTEXTS), folder=tmp_path, images=images)
    assert {one.name for one in images.iterdir()} == MADE
    assert "checkout" in (images / "status.svg").read_text()
    assert "demo/checkout" in (images / "graph.svg").read_text()
    sizes = {name: _size(images / name) for name in ("dashboard.png", "dashboard-phone.png")}
    assert (sizes["dashboard.png"][0], sizes["dashboard-phone.png"][0]) == (900, 390)
    # The whole page is in it: on a phone the same rows are a longer one.
    assert sizes["dashboard-phone.png"][1] > sizes["dashboard.png"][1] > 500


def _size(png: Path) -> tuple[int, int]:
    head = png.read_bytes()[:24]
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])

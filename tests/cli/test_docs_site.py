"""The documentation as a site: every page is in it, and no link of it leads nowhere."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("docs", "meshctl", "controller", "dns", "gateway", "manifests", "tests", "bench")


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


def test_the_site_builds_without_a_warning_and_has_every_page(tmp_path: Path) -> None:
    ended = build(ROOT, tmp_path)
    assert (ended.returncode, "WARNING" in ended.stderr) == (0, False), ended.stderr
    pages = {file.relative_to(ROOT / "docs") for file in (ROOT / "docs").rglob("*.md")}
    named = {page.with_suffix("") for page in pages if page.parts[0] != "site"}
    assert {str(page) for page in named if not (tmp_path / page / "index.html").is_file()} == set()
    assert "Joins Kubernetes clusters" in (tmp_path / "index.html").read_text()


def test_the_site_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    assert build(ROOT, tmp_path).returncode == 0
    page = (tmp_path / "index.html").read_text()
    loads = [
        part.split('"')[0] for tag in ('src="', 'rel="stylesheet" href="') for part in page.split(tag)[1:]
    ]
    assert loads
    assert [one for one in loads if one.startswith(("http:", "https:", "//"))] == []


@pytest.mark.parametrize(
    "link", ["[x](nowhere.md)", "[x](trust.md#nothing-of-that-name)", "[x](../nowhere.py)"]
)
def test_a_link_that_leads_nowhere_fails_the_build(link: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for part in PARTS:
        copytree(
            ROOT / part, root / part, ignore=lambda _folder, names: [n for n in names if not _of_docs(n)]
        )
    for file in (*ROOT.glob("*.md"), ROOT / "mkdocs.yml"):
        (root / file.name).write_bytes(file.read_bytes())
    page = root / "docs" / "callers.md"
    page.write_text(page.read_text() + f"\n\n{link}\n")
    ended = build(root, tmp_path / "site")
    assert ended.returncode != 0
    assert "callers.md" in ended.stderr


def _of_docs(name: str) -> bool:
    return "." not in name or name.endswith((".md", "pages.py", ".svg", ".png"))

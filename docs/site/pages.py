"""A hook of mkdocs: pages that lie outside docs/, the decision records in the menu, and links that lead out.

In the repository every link is relative to its file, so that it works where the files are read. On the site a
link to a file that is a page leads to that page; one to another file of the repository becomes its path.
"""

import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    **{f"{room}/README.md": f"rooms/{room}.md" for room in ("meshctl", "controller", "dns", "gateway")},
    **{f"{room}/README.md": f"rooms/{room}.md" for room in ("manifests", "tests", "bench")},
}
"""Files of the repository that are pages too: from their path to that of the page."""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
_FOREIGN = re.compile(r"^[a-z][a-z0-9+.-]*:")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The menu's last parts, which grow by themselves."""
    assert config.nav is not None
    config.nav.append({"Rooms": [uri for uri in OUTSIDE.values() if uri.startswith("rooms/")]})
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    config.nav.append({"Decisions": [f"decisions/{file.name}" for file in decisions]})
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages of `OUTSIDE`."""
    for source, uri in OUTSIDE.items():
        files.append(File.generated(config, uri, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns the links of the repository into links of the site, outside blocks of code."""
    del config
    source = next((path for path, uri in OUTSIDE.items() if uri == page.file.src_uri), None)
    here = source or f"docs/{page.file.src_uri}"
    known = {f"docs/{file.src_uri}" for file in files} | set(OUTSIDE)
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.M | re.S)
    return "".join(
        part
        if part.startswith("```")
        else _LINK.sub(lambda m: _on_site(m, here=here, uri=page.file.src_uri, known=known), part)
        for part in parts
    )


def _on_site(link: re.Match[str], *, here: str, uri: str, known: set[str]) -> str:
    mark, text, target, anchor = link[1], link[2], link[3], link[4] or ""
    if not target or _FOREIGN.match(target):
        return link[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
    if path == "docs/decisions":
        path = min(name for name in known if name.startswith("docs/decisions/"))
    if path in known:
        page = OUTSIDE.get(path) or path.removeprefix("docs/")
        return f"{mark}[{text}]({os.path.relpath(page, posixpath.dirname(uri) or '.')}{anchor})"
    if (ROOT / path).exists():
        return text if text.strip("`") == path else f"{text} (`{path}`)"
    return link[0]  # leads nowhere: mkdocs says so, and the build fails

"""Makes the pictures of docs/images anew: PYTHONPATH=tests python -m browser.screenshots."""

import asyncio
import tempfile
from pathlib import Path

from browser.conftest import running, two_members
from mesh_fakes.browser import browser

IMAGES = Path(__file__).parents[2] / "docs" / "images"


async def main() -> None:
    """The page as somebody sees it who has just opened it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with two_members(folder, conflict="port 80 is http here and web in west") as land:
            async with running(land) as dashboard, browser(folder) as tab:
                await tab.size(900, 720)
                await tab.open(dashboard.address)
                await tab.until(
                    "document.getElementById('state')?.textContent.startsWith('live')", limit=60.0
                )
                await tab.press("j")
                await tab.shot(IMAGES / "dashboard.png")


if __name__ == "__main__":
    asyncio.run(main())

"""`meshctl dashboard` in a real browser: what is seen, what keys do, what turns when something goes wrong."""

import signal
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from browser.conftest import Land, heard, running
from mesh_fakes.browser import Tab, browser

pytestmark = pytest.mark.asyncio

FOCUSED = "document.activeElement.closest('details')?.dataset.key"
LIVE = "document.getElementById('state')?.textContent.startsWith('live')"


async def opened(tab: Tab, address: str) -> None:
    await tab.open(address)
    await tab.until(LIVE, limit=60.0)


async def test_the_page_shows_the_clusterset_and_turns_with_it(land: Land, tmp_path: Path) -> None:
    async with running(land.kubeconfig) as dashboard, browser(tmp_path) as tab:
        await opened(tab, dashboard.address)
        assert "token" not in await tab.value("location.href")
        keys = await tab.value("[...document.querySelectorAll('details')].map((row) => row.dataset.key)")
        assert keys == [
            "cluster/east",
            "cluster/west",
            "link/east/west",
            "service/demo/checkout",
            "service/demo/shop-east",
            "service/demo/shop-west",
        ]
        link = "document.querySelector('[data-key=\"link/east/west\"]').parentElement.className"
        assert await tab.value(link) == "fine"

        # A peer that is heard no more turns, on the page that is open, and so does the line on the map.
        heard(land.east, "west", ago=90)
        await tab.until(f"{link} === 'stale'")
        assert await tab.value("document.querySelectorAll('svg.map line.stale').length") == 1

        # What a tenant wrote as markup is text: the policy alone need not stop it.
        assert await tab.value("document.title") == "Clusterset"
        assert "<script>" in await tab.value("document.querySelector('#services').textContent")
        assert tab.complaints == []
        assert {urlsplit(url).netloc for url in tab.requests} <= {urlsplit(dashboard.address).netloc}


async def test_keys_move_open_filter_and_help(land: Land, tmp_path: Path) -> None:
    async with running(land.kubeconfig) as dashboard, browser(tmp_path) as tab:
        await opened(tab, dashboard.address)
        await tab.press("j")
        assert await tab.value(FOCUSED) == "cluster/east"
        await tab.press("j")
        await tab.press("j")
        assert await tab.value(FOCUSED) == "link/east/west"
        await tab.press("k")
        assert await tab.value(FOCUSED) == "cluster/west"
        await tab.press("Enter")
        await tab.until("document.querySelector('[data-key=\"cluster/west\"]').open")
        # The next picture takes neither the focus nor what is open.
        await tab.value("document.getElementById('title').dataset.old = '1'")
        await tab.until("!document.getElementById('title').dataset.old")
        assert await tab.value(FOCUSED) == "cluster/west"
        assert await tab.value("document.querySelector('[data-key=\"cluster/west\"]').open") is True
        await tab.press("/")
        assert await tab.value("document.activeElement.id") == "filter"
        for letter in "shop":
            await tab.press(letter)
        shown = "[...document.querySelectorAll('main li:not(.hidden) details')].map((row) => row.dataset.key)"
        assert await tab.value(shown) == ["service/demo/shop-east", "service/demo/shop-west"]
        await tab.press("Escape")
        await tab.press("?")
        assert await tab.value("document.getElementById('help').open") is True
        assert tab.complaints == []


async def test_a_phone_shows_all_without_scrolling_sideways(land: Land, tmp_path: Path) -> None:
    async with running(land.kubeconfig) as dashboard, browser(tmp_path) as tab:
        await tab.size(375, 667)
        await opened(tab, dashboard.address)
        await tab.value("document.querySelectorAll('details').forEach((row) => { row.open = true; })")
        assert await tab.value("innerWidth") == 375
        assert await tab.value("document.documentElement.scrollWidth") <= 375


AS_DRAWN = """
[...document.querySelectorAll('svg.map text')].filter((text) => text.textContent.trim()).map((text) => {
  const scale = text.getBoundingClientRect().width / text.getBBox().width;
  return parseFloat(getComputedStyle(text).fontSize) * scale;
})
"""


async def test_the_map_on_a_phone_has_letters_that_can_be_read(land: Land, tmp_path: Path) -> None:
    async with running(land.kubeconfig) as dashboard, browser(tmp_path) as tab:
        await tab.size(390, 844)
        await opened(tab, dashboard.address)
        sizes = await tab.value(AS_DRAWN)
        assert len(sizes) > 3
        assert min(sizes) >= 11.0, sizes
        assert await tab.value("document.documentElement.scrollWidth") <= 390
        map_ = "document.getElementById('map')"
        assert await tab.value(f"getComputedStyle({map_}).overflowX") == "auto", "its rest is reached"
        assert tab.complaints == []


async def test_a_page_whose_dashboard_has_ended_says_that_it_is_stale(land: Land, tmp_path: Path) -> None:
    async with running(land.kubeconfig) as dashboard, browser(tmp_path) as tab:
        await opened(tab, dashboard.address)
        dashboard.process.send_signal(signal.SIGTERM)
        assert await dashboard.process.wait() == 0
        await tab.until("document.getElementById('state').textContent.startsWith('stale')")
        assert await tab.value("document.body.className") == "stale"


async def test_whoever_has_no_token_sees_nothing(land: Land) -> None:
    async with running(land.kubeconfig) as dashboard, aiohttp.ClientSession() as session:
        there = urlsplit(dashboard.address)
        bare = f"http://{there.netloc}{there.path}"
        for address, expected in ((bare, 401), (f"{bare}?token=guess", 401), (f"{bare}events", 401)):
            async with session.get(address) as answer:
                assert answer.status == expected
                assert "east" not in await answer.text()
        async with session.get(dashboard.address) as answer:
            cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert f"Path={there.path}" in cookie

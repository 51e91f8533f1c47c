"""A real browser, Debian's Chromium without a window, spoken to over its DevTools protocol.

Nothing stands between: a dozen commands of the protocol are all that the tests of a page need.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from mesh_fakes.waiting import until, until_found

# What a page's script evaluates to, or a protocol's message: any JSON.
Json = Any

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root, for whom Chromium has no sandbox
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--remote-debugging-port=0",
)


class Tab:
    """One page. `requests` are the URLs that it asked for, `complaints` what its console or policy said."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._socket = socket
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Json]] = {}

    async def read(self) -> None:
        """Takes what the browser says, until it ends."""
        async for message in self._socket:
            told = json.loads(message.data)
            match told.get("method"):
                case "Network.requestWillBeSent":
                    self.requests.append(told["params"]["request"]["url"])
                case "Runtime.exceptionThrown":
                    self.complaints.append(json.dumps(told["params"]["exceptionDetails"]))
                case "Log.entryAdded" if told["params"]["entry"]["level"] in {"error", "warning"}:
                    self.complaints.append(json.dumps(told["params"]["entry"]))
                case "Runtime.consoleAPICalled" if told["params"]["type"] in {"error", "warning", "assert"}:
                    self.complaints.append(json.dumps(told["params"]["args"]))
                case None:
                    self._waiting.pop(told["id"]).set_result(told)

    async def ask(self, method: str, **parameters: object) -> Json:
        """One command; an error of the protocol fails the test."""
        self._number = number = self._number + 1
        self._waiting[number] = answer = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(60):
            told = await answer
        assert "error" not in told, told
        return told["result"]

    async def open(self, address: str) -> None:
        await self.ask("Page.navigate", url=address)

    async def value(self, script: str) -> Json:
        """What an expression is worth in the page."""
        told = await self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, script: str, *, limit: float = 20.0) -> None:
        """Wait until an expression holds; a page that is just being replaced has no value."""

        async def holds() -> bool:
            try:
                return bool(await self.value(f"Boolean({script})"))
            except AssertionError:
                return False

        await until_found(holds, limit=limit)

    async def press(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        code = {"Enter": 13, "Escape": 27}.get(
            key, ord(key.upper()) if key.isalpha() and len(key) == 1 else 0
        )
        for kind in ("keyDown", "keyUp"):
            what = text if kind == "keyDown" else {}
            await self.ask("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **what)

    async def size(self, width: int, height: int) -> None:
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def shot(self, file: Path) -> None:
        """A picture of what is seen, as PNG."""
        file.write_bytes(base64.b64decode((await self.ask("Page.captureScreenshot"))["data"]))


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Tab]:
    """Chromium with an empty profile in `folder`, and one tab of it; it is gone after the block."""
    profile = folder / "profile"
    process = await asyncio.create_subprocess_exec(
        "chromium",
        *_FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        ready = profile / "DevToolsActivePort"
        await until(lambda: ready.exists() and len(ready.read_text().splitlines()) == 2, limit=90)
        port = ready.read_text().splitlines()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as listed:
                (page,) = [one for one in await listed.json() if one["type"] == "page"]
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                reading = asyncio.create_task(tab.read())
                for domain in ("Page", "Runtime", "Network", "Log"):
                    await tab.ask(f"{domain}.enable")
                yield tab
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading
    finally:
        process.terminate()
        await process.wait()

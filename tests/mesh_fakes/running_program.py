"""One of our programs as a process of its own, seen from outside: its workers and its health port."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from mesh_fakes.gateways import LOOPBACK


@dataclass
class RunningProgram:
    """The process, which runs, and the port of its pages."""

    process: asyncio.subprocess.Process
    health: int

    @property
    def workers(self) -> list[int]:
        """The processes that the parent has started, oldest first."""
        pid = self.process.pid
        return sorted(int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    async def page(self, path: str) -> tuple[int, str]:
        """Status and text of a page of its health port; 0 while nobody answers."""
        try:
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{LOOPBACK}:{self.health}/{path}") as answer:
                    return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

"""Who applies Works in this member: the agent (Pull), or the hub by itself (Push).

1. Never both: the agent says that it has stopped (`status.agent.applies` False) only after it has, and the
   hub begins only then; it begins again when the hub shows that it has stopped (condition `Pushed`).
2. A registration that is not seen changes nothing: what was being done goes on.
3. While leaving, or in doubt whether it was let go, nothing is applied, whatever the registration says.
"""

import asyncio
from collections.abc import Awaitable, Callable

from mesh_placement.decide.pushing import may_pull
from mesh_placement.objects import ClusterRegistration

Run = Callable[[], Awaitable[None]]
"""The engine: applies until it is cancelled."""


class Delivery:
    """Starts and stops `run`; `changed` is called after each."""

    def __init__(self, run: Run | None, *, changed: Callable[[], None]) -> None:
        self._run = run
        self._changed = changed
        self._wanted = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._unwanted.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_ours = False
        self._is_allowed = True

    @property
    def applies(self) -> bool:
        """Whether the agent applies, or will as soon as it can."""
        return not (self._unwanted.is_set() and self._idle.is_set())

    def follow(self, registration: ClusterRegistration | None) -> None:
        """Do what the registration says (law 2)."""
        if registration is not None:
            self._is_ours = may_pull(registration)
            self._settle()

    async def allow(self, allowed: bool) -> None:
        """Law 3; with False it returns when nothing is being applied any more."""
        self._is_allowed = allowed
        self._settle()
        if not allowed:
            await self._idle.wait()

    async def run(self) -> None:
        """For ever, or until the engine fails."""
        while True:
            await self._wanted.wait()
            self._idle.clear()
            self._changed()
            engine = asyncio.ensure_future(self._engine())
            unwanted = asyncio.ensure_future(self._unwanted.wait())
            try:
                await asyncio.wait((engine, unwanted), return_when=asyncio.FIRST_COMPLETED)
                if engine.done():
                    engine.result()
            finally:
                for task in (engine, unwanted):
                    task.cancel()
                await asyncio.gather(engine, unwanted, return_exceptions=True)
                self._idle.set()
            self._changed()

    def _settle(self) -> None:
        wanted = self._is_ours and self._is_allowed
        on, off = (self._wanted, self._unwanted) if wanted else (self._unwanted, self._wanted)
        on.set()
        off.clear()

    async def _engine(self) -> None:
        if self._run is not None:
            await self._run()
        await self._unwanted.wait()

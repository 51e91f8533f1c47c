"""Asks one peer, by one kind of its addresses, whether anybody is there: by waves of knocks.

1. While somebody answers, a wave goes out once a second, and none while whoever asks is content (`rests`).
2. While nobody does, a wave goes out each quarter of a second, beside those that still wait, until it is
   decided whether the path is down; from then on once a second. So the verdict takes the time of the slowest
   try and not that of three in a row.
3. A knock that is overdue has failed and waits on all the same: a late answer is an answer.
4. One answer ends all knocks that wait. So of knocks that cost the other side a handshake one succeeds at a
   time, and the next is a second away; and there are ten at most at one address.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mesh_gateway.probe import Path, is_fair
from mesh_gateway.probe_knock import LIMIT, Answer
from mesh_gateway.route import Address
from mesh_runtime.log import logger

_log = logger(__name__)

_EVERY = 1.0
_HASTE = 0.25
_SHORTEST = 0.02
"""Seconds of a wait, at least: running time may stand still while the clock goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the peer is asked. `choose` gives the addresses of the next wave, of which so many went unanswered
    before; None when there is nowhere to knock and nothing heard is all there is. `life`: the answers that
    are signs of life. `told` hears that the verdict is another."""

    choose: Callable[[int], Sequence[Address] | None]
    knock: Callable[[Address], Awaitable[Answer]]
    life: frozenset[Answer]
    rests: Callable[[], bool]
    told: Callable[[], None]


class Asking:
    """What is known of `path`, and how more is found out; `ran` is our running time, `slots` bounds how many
    knocks of all peers go out at a time."""

    def __init__(
        self, path: Path, *, manner: Manner, ran: Callable[[], float], slots: asyncio.Semaphore
    ) -> None:
        self.path = path
        self.good: Address | None = None
        """Who answered last."""
        self._manner = manner
        self._ran = ran
        self._slots = slots
        self._kick = asyncio.Event()
        self._waves = 0
        self._wave_at: float | None = None
        self._gap = 0.0
        self._waiting: set[asyncio.Task[None]] = set()

    def heard(self, *, at: float) -> None:
        """The peer was heard at that running time."""
        self._become(self.path.heard(at=at))

    def failed(self, *, began: float) -> None:
        """A try of somebody else's came to nothing."""
        self._become(self.path.failed(began=began, now=self._ran()))

    def begin(self, path: Path) -> None:
        """Begins anew with what is known."""
        self._become(path)
        self._waves, self._wave_at = 0, None

    def hasten(self) -> None:
        """Something has happened that may be the end of it: ask now."""
        self._wave_at = None
        self._kick.set()

    async def run(self) -> None:
        """Ask, for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                pause = self._pause()
                if pause <= 0:
                    self._send_wave(group)
                    continue
                self._kick.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(pause, _SHORTEST)):
                        await self._kick.wait()

    def _pause(self) -> float:
        now = self._ran()
        if self._manner.rests():
            return self.path.suspect_at - now
        if self._wave_at is None:
            return 0.0
        unanswered = self.path.since < self._wave_at
        gap = _HASTE if unanswered and self.path.is_open_question(now=now) else self._gap
        return self._wave_at + gap - now

    def _send_wave(self, group: asyncio.TaskGroup) -> None:
        now = self._ran()
        if self._wave_at is None or self.path.since >= self._wave_at:
            self._waves = 0
        addresses = self._manner.choose(self._waves)
        self._waves += 1
        self._wave_at, self._gap = now, _EVERY * random.uniform(0.8, 1.2)
        if addresses is None:
            self.failed(began=now)
            return
        for address in addresses:
            task = group.create_task(self._ask(address))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _ask(self, address: Address) -> None:
        async with self._slots:
            began = self._ran()
            overdue = self.path.overdue
            timer = asyncio.get_running_loop().call_later(overdue, self._is_overdue, began, overdue)
            try:
                answer = await self._manner.knock(address)
            except Exception as error:
                # A defect met with one peer must not end the asking of others, nor the gateway.
                _log.error("asking a gateway failed by a defect", gateway=str(address), error=error)
                answer = Answer.NOT_ASKED
            finally:
                timer.cancel()
        if answer in self._manner.life:
            self.good = address
            self.heard(at=self._ran())
            for other in self._waiting - {asyncio.current_task()}:
                other.cancel()
        elif timer.when() > asyncio.get_running_loop().time() and self._counts(answer, began=began):
            self.failed(began=began)  # before it was overdue

    def _counts(self, answer: Answer, *, began: float) -> bool:
        if answer is Answer.SILENT:
            return is_fair(ran=self._ran() - began, limit=LIMIT)
        return answer is not Answer.NOT_ASKED

    def _is_overdue(self, began: float, overdue: float) -> None:
        if is_fair(ran=self._ran() - began, limit=overdue):
            self.failed(began=began)

    def _become(self, path: Path) -> None:
        before, self.path = self.path.verdict, path
        if path.verdict is not before:
            self._manner.told()

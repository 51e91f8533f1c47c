"""A deed that goes on to its end, however often its task is told to stop."""

import asyncio

import pytest

from mesh_runtime.to_its_end import to_its_end

pytestmark = pytest.mark.asyncio


class Deed:
    def __init__(self) -> None:
        self.may_end, self.has_ended = asyncio.Event(), False

    async def do(self) -> None:
        await self.may_end.wait()
        self.has_ended = True


async def turns() -> None:
    """What is ready to run has run."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("times", [0, 1, 2, 3])
async def test_an_agent_that_is_told_to_stop_twice_still_takes_its_last_right_away(times: int) -> None:
    """By its settings, which it had deleted, and by SIGTERM: the second cut it off, a RoleBinding stayed."""
    deed = Deed()
    task = asyncio.create_task(to_its_end(deed.do()))
    await turns()
    for _ in range(times):
        task.cancel()
        await turns()
        assert not task.done()
    deed.may_end.set()
    if times:
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        await task
    assert deed.has_ended


async def test_what_the_deed_raises_is_raised() -> None:
    async def bad() -> None:
        raise ValueError("it broke")

    with pytest.raises(ValueError, match="it broke"):
        await to_its_end(bad())

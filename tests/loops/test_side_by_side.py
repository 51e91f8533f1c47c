"""Many waits at once: order, bound, and the first error as it is."""

import asyncio

import pytest

from mesh_core.errors import UserError
from mesh_runtime.side_by_side import side_by_side

pytestmark = pytest.mark.asyncio


async def test_results_come_in_the_order_asked_and_no_more_run_than_allowed() -> None:
    running, most = 0, 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    assert await side_by_side((work(number) for number in range(10)), at_once=3) == list(range(10))
    assert most == 3


async def test_the_first_error_is_raised_as_it_is_and_ends_the_others() -> None:
    ended: list[int] = []

    async def work(number: int) -> None:
        if number == 1:
            raise UserError("this one", next_step="correct it")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    with pytest.raises(UserError, match="this one"):
        await side_by_side((work(number) for number in range(4)), at_once=3)
    assert {0, 2} <= set(ended) <= {0, 2, 3}, "the last has the place of the one that failed, or never began"


async def test_nothing_to_do_is_done_at_once() -> None:
    assert await side_by_side(()) == []

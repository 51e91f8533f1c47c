"""A Work of many objects does not hurry a member's API server: its audit log counts who asked, and when."""

import asyncio

import pytest

from mesh_fakes.audit import Asked, AuditLog
from mesh_fakes.bed import Bed
from mesh_fakes.delivery import AGENT_USER, between, config_map, give_accounts
from mesh_placement.deliver import Deliverer
from mesh_placement.objects import Budgets

pytestmark = pytest.mark.asyncio

BUDGETS = Budgets(qps=20, burst=10)
OBJECTS = 100
LATE = 2.0
"""Seconds a request may be on its way on a busy machine: its turn is taken before, and it is noted after."""


def most_beyond(asked: list[Asked], budgets: Budgets) -> float:
    """By how many requests the budget was exceeded at worst, over whatever span of the log."""
    times = sorted(one.request_received_timestamp.timestamp() for one in asked)
    return max(
        last - first + 1 - (budgets.burst + budgets.qps * (times[last] - times[first] + LATE))
        for first in range(len(times))
        for last in range(first, len(times))
    )


async def test_many_objects_reach_a_member_at_the_pace_of_its_budget(audited_pair: Bed) -> None:
    give_accounts(audited_pair)
    log = AuditLog.of(audited_pair, "member")
    async with between(audited_pair) as delivery:
        await log.until_now(delivery.member)
        engine = Deliverer(
            delivery.hub,
            delivery.member.acting_as(AGENT_USER),
            namespace=delivery.namespace,
            cluster="member",
            budgets=BUDGETS,
        )
        task = asyncio.create_task(engine.run())
        try:
            many = [config_map(f"many-{number}", namespace="default", a="1") for number in range(OBJECTS)]
            await delivery.work("many", *many)
            await delivery.says("many", "Applied", "Applied")
            news = await log.until_now(delivery.member)
            await delivery.remove("many")
        finally:
            task.cancel()
            await asyncio.wait([task])
    # Each request once, whatever stages of it are written down; only those of the engine are made as another.
    once = {(one.verb, one.request_uri, one.request_received_timestamp): one for one in news}
    asked = [one for one in once.values() if one.impersonated_user.username]
    assert sum(one.object_ref.resource == "configmaps" for one in asked) >= OBJECTS
    assert most_beyond(asked, BUDGETS) <= 0
    assert most_beyond(asked, Budgets(qps=BUDGETS.qps // 2, burst=BUDGETS.burst)) > 0, "it measures"

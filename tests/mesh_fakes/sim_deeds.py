"""What happens in a history: deeds of users, and what befalls controllers, API servers and lines.

A deed is a value that prints as a line of Python, so that a history can be run again with some of it left
out. It finds the world as it is: what cannot be done then is not done.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mesh_fakes.sim_member import CLUSTERS, SimMember
from mesh_fakes.sim_users import USER_DEEDS, USER_WEIGHTS
from mesh_fakes.sim_world import World
from mesh_runtime.kube import ApiError


@dataclass(frozen=True, slots=True)
class Deed:
    """`what` happens in `cluster`, `after` seconds from the one before; `dice` decide the rest."""

    after: float
    what: str
    cluster: str
    dice: int

    async def do(self, world: World) -> None:
        """Do it, if it can be done."""
        dice = random.Random(self.dice)
        member = world.members[self.cluster]
        try:
            if self.what in USER_DEEDS:
                USER_DEEDS[self.what](member, dice)
            else:
                await MISHAPS[self.what](world, member, dice)
        except ApiError:
            pass  # the API server forbids it now: a namespace that is missing, a name that is taken


def deeds(dice: random.Random, *, number: int, cluster: str = "", mishaps: bool = True) -> list[Deed]:
    """A random history, of one cluster if it is named."""
    kinds = USER_WEIGHTS | (MISHAP_WEIGHTS if mishaps else {})
    chosen = dice.choices(list(kinds), weights=list(kinds.values()), k=number)
    return [
        Deed(
            after=round(dice.choice((0.0, 0.01, 0.1, 0.5, 3.0)) * dice.random(), 3),
            what=what,
            cluster=cluster or dice.choice(CLUSTERS),
            dice=dice.randrange(1 << 30),
        )
        for what in chosen
    ]


async def restarts(world: World, member: SimMember, dice: random.Random) -> None:
    await member.kill()
    if dice.random() < 0.5:
        await world.sleep(dice.uniform(0, 5))
    member.start()


async def changes_leader(world: World, member: SimMember, dice: random.Random) -> None:
    """A second replica takes over; the first may go on for a while as if it led."""
    before = len(member.replicas)
    member.start()
    await world.sleep(dice.choice((0.0, 0.5, 3.0)))
    await member.kill(number=before)


async def cuts_line(world: World, member: SimMember, dice: random.Random) -> None:
    peer = dice.choice([cluster for cluster in CLUSTERS if cluster != member.name])
    world.network.cut(member.name, peer)


async def mends_line(world: World, member: SimMember, dice: random.Random) -> None:
    """A line comes back; its first stream may break off half way through its list."""
    peer = dice.choice([cluster for cluster in CLUSTERS if cluster != member.name])
    line = world.network.line(member.name, peer)
    world.network.cut(member.name, peer)
    line.is_up, line.latency = True, dice.choice((0.002, 0.05, 1.0))
    line.budget = dice.choice((None, dice.randrange(3000)))


async def drops_watches(world: World, member: SimMember, dice: random.Random) -> None:
    member.api.break_watches()


async def forgets_versions(world: World, member: SimMember, dice: random.Random) -> None:
    member.api.compact()


async def changes_weather(world: World, member: SimMember, dice: random.Random) -> None:
    weather = member.weather
    weather.latency = dice.choice((0.001, 0.01, 0.3, 6.0))
    weather.lag = dice.choice((0.001, 0.02, 0.5, 3.0))
    weather.faults = dice.choice((0.0, 0.0, 0.1, 0.5))


async def stops_api(world: World, member: SimMember, dice: random.Random) -> None:
    member.weather.is_down = True
    member.api.break_watches()
    await world.sleep(dice.uniform(0, 3))
    member.weather.is_down = False


Mishap = Callable[[World, SimMember, random.Random], Awaitable[None]]

MISHAPS: dict[str, Mishap] = {
    mishap.__name__: mishap
    for mishap in (
        restarts,
        changes_leader,
        cuts_line,
        mends_line,
        drops_watches,
        forgets_versions,
        changes_weather,
        stops_api,
    )
}
MISHAP_WEIGHTS = {
    "restarts": 4,
    "changes_leader": 2,
    "cuts_line": 4,
    "mends_line": 6,
    "drops_watches": 2,
    "forgets_versions": 2,
    "changes_weather": 5,
    "stops_api": 2,
}
CUT_OFF_DEEDS = frozenset(USER_DEEDS) - {"deletes_ours", "tampers_with_ours"}

"""One history from its seed to its end, and the shortest one that still fails.

A history has four parts, each of which ends in quiet:

1. Deeds of users and mishaps in three clusters; then everything heals.
2. All controllers lose their memory: nothing is written.
3. In every second one, a cluster is cut off from another, whose users go on: in the one that is cut off
   nothing is written, whatever its own controllers and API server go through.
4. It heals. What is there is what three fresh clusters compute from what users wrote.
"""

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from mesh_core.names import PROPERTY_CLUSTER_ID, PROPERTY_NETWORK
from mesh_fakes.sim_deeds import CUT_OFF_DEEDS, Deed, deeds
from mesh_fakes.sim_guards import guard
from mesh_fakes.sim_loop import SimLoop, sim_loop
from mesh_fakes.sim_member import CLUSTERS
from mesh_fakes.sim_picture import of_users, picture
from mesh_fakes.sim_users import has_gateways_at, knows, neighbour, populate
from mesh_fakes.sim_world import QUIET_AT_FIRST, World, adopt, new_world
from mesh_runtime.kube import CLUSTER_PROPERTIES


class Wrong(AssertionError):
    """A history that ends in what it should not."""


@dataclass(frozen=True, slots=True)
class History:
    """Deeds of the first part, and of the third, in which `away` is cut off from `busy`."""

    seed: int
    first: tuple[Deed, ...]
    away: str
    busy: str
    third: tuple[Deed, ...]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.away} is cut off from {self.busy} in the third part"]
        lines += [f"  1. {deed}" for deed in self.first] + [f"  3. {deed}" for deed in self.third]
        return "\n".join(lines)


def history(seed: int) -> History:
    """The history of a seed."""
    dice = random.Random(f"history {seed}")
    first = deeds(dice, number=dice.randint(5, 35))
    away, busy = dice.sample(CLUSTERS, 2)
    cut_off = [
        deed
        for deed in deeds(dice, number=12, cluster=busy)
        if deed.what in CUT_OFF_DEEDS or deed.what == "restarts"
    ]
    mishaps = [
        Deed(after=0.3, what=what, cluster=away, dice=dice.randrange(1 << 30))
        for what in dice.choices(("restarts", "drops_watches", "forgets_versions", "stops_api"), k=4)
    ]
    third = [*cut_off, *mishaps] if seed % 2 else []
    dice.shuffle(third)
    return History(seed, tuple(first), away, busy, tuple(third))


def run(story: History) -> None:
    """Live through it; raises AssertionError, or what a controller died of."""
    with sim_loop(seed=story.seed) as loop:
        loop.run_until_complete(_live(story, loop))


async def _live(story: History, loop: SimLoop) -> None:
    world = _begin(loop, story.seed)
    try:
        guard(world)
        await world.sleep(2.0)
        await _do(world, story.first)
        world.heal()
        await world.settle()
        await _is_still(world, "a restart of every controller")
        if story.third:
            await _cut_off(world, story)
            world.heal()
            await world.settle()
        await world.outlast_stand_ins()
        await _is_still(world, "a second restart of every controller")
    finally:
        await world.end()
    await _compare(world, loop, story.seed)


def _begin(loop: SimLoop, seed: int) -> World:
    """Three members with gateways that know one another, and controllers that begin."""
    world, dice = new_world(loop, seed=seed), random.Random(f"begin {seed}")
    on_one_network = CLUSTERS[: dice.choice((0, 0, 2, 3))]
    for name, member in world.members.items():
        body = {"metadata": {"name": PROPERTY_CLUSTER_ID}, "spec": {"value": name}}
        member.api.put(CLUSTER_PROPERTIES, body)
        for namespace in ("demo", "shop"):
            member.api.namespace(namespace)
        has_gateways_at(member, number=2)
        if name in on_one_network:
            body = {"metadata": {"name": PROPERTY_NETWORK}, "spec": {"value": "net"}}
            member.api.put(CLUSTER_PROPERTIES, body)
        for peer in CLUSTERS:
            if peer != name:
                knows(member, peer, **(neighbour(peer) if peer in on_one_network else {}))
        populate(member, dice)
        member.start()
    return world


async def _do(world: World, todo: Sequence[Deed]) -> None:
    for deed in todo:
        await world.sleep(deed.after)
        await deed.do(world)
    await world.sleep(0.0)


def _versions(world: World, *names: str) -> dict[str, str]:
    return {
        f"{name}{path}": version
        for name in names
        for path, version in world.members[name].api.versions(without=("leases", "meshpeers")).items()
    }


def _differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [
        f"{path}: {before.get(path, 'nothing')}  ->  {after.get(path, 'nothing')}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


async def _is_still(world: World, why: str) -> None:
    before = _versions(world, *CLUSTERS)
    await world.restart()
    await world.settle(quiet=QUIET_AT_FIRST)
    changed = _differences(before, _versions(world, *CLUSTERS))
    if changed:
        raise Wrong(f"{why} changed objects:\n" + "\n".join(changed))


async def _cut_off(world: World, story: History) -> None:
    if world.is_expiring:
        return
    before = _versions(world, story.away)
    world.network.cut(story.away, story.busy)
    await _do(world, story.third)
    world.members[story.away].weather.is_down = False
    await world.settle(quiet=QUIET_AT_FIRST)
    changed = _differences(before, _versions(world, story.away))
    if changed:
        raise Wrong(f"{story.away} wrote while cut off from {story.busy}:\n" + "\n".join(changed))


async def _compare(world: World, loop: SimLoop, seed: int) -> None:
    """Against three fresh clusters with the same objects of users."""
    fresh = new_world(loop, seed=seed)
    fresh.clock.ahead = world.clock.ahead
    for member in fresh.members.values():
        for key in list(member.api.items()):
            member.api.sweep(key)
    adopt(fresh, objects={name: of_users(member) for name, member in world.members.items()})
    for member in fresh.members.values():
        member.start()
    try:
        await fresh.settle(quiet=QUIET_AT_FIRST)
        await fresh.outlast_stand_ins()
    finally:
        await fresh.end()
    for name in CLUSTERS:
        changed = _differences(picture(fresh.members[name]), picture(world.members[name]))
        if changed:
            raise Wrong(f"{name} is not what a fresh start makes (fresh -> history):\n" + "\n".join(changed))


def weather_storm(seed: int) -> dict[str, list[str]]:
    """By cluster, what is written while no user does anything, but API servers drop watches, answer 410, 409,
    429, 5xx or nothing, or slowly, and controllers restart.
    """
    with sim_loop(seed=seed) as loop:
        return loop.run_until_complete(_storm(loop, seed))


async def _storm(loop: SimLoop, seed: int) -> dict[str, list[str]]:
    world, dice = _begin(loop, seed), random.Random(f"storm {seed}")
    try:
        await world.settle()
        await world.outlast_stand_ins()
        before = {name: len(member.api.requests) for name, member in world.members.items()}
        kinds = ("changes_weather", "drops_watches", "forgets_versions", "restarts", "stops_api")
        for _ in range(30):
            deed = Deed(dice.random(), dice.choice(kinds), dice.choice(CLUSTERS), dice.randrange(1 << 30))
            await world.sleep(deed.after)
            await deed.do(world)
        world.heal()
        await world.settle()
        return {
            name: [
                f"{method} {path}"
                for _, method, path in member.api.requests[before[name] :]
                if "/leases/" not in path and "/meshpeers/" not in path
            ]
            for name, member in world.members.items()
        }
    finally:
        await world.end()


def shortest(story: History, *, fails: Callable[[History], bool], most: int = 60) -> History:
    """The history without what it fails without as well; `most` runs are made to find out."""
    best, tries = story, 0
    for part in ("first", "third"):
        size = max(1, len(getattr(best, part)) // 2)
        while size:
            start = 0
            while start < len(deeds_left := getattr(best, part)) and tries < most:
                shorter = replace(best, **{part: deeds_left[:start] + deeds_left[start + size :]})
                tries += 1
                if fails(shorter):
                    best = shorter
                else:
                    start += size
            size //= 2
    return best


def complaint(story: History) -> str:
    """What is wrong with a history, "" when nothing is."""
    try:
        run(story)
    except (AssertionError, ExceptionGroup) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def failures(seeds: Iterable[int]) -> list[int]:
    """Those of the seeds whose histories fail."""
    logging.disable(logging.CRITICAL)
    return [seed for seed in seeds if complaint(history(seed))]


def explained(seed: int) -> str:
    """The shortest history that fails as that of `seed` does, and what is wrong with it."""
    kind = _kind(complaint(history(seed)))
    story = shortest(history(seed), fails=lambda shorter: _kind(complaint(shorter)) == kind)
    return f"{story}\n{complaint(story)}"


def _kind(said: str) -> str:
    return said.partition(":")[0]

"""Works of an Assignment that are cut anew: what goes from one part into another is never missed."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from mesh_fakes.delivered_api import DeliveredApi
from mesh_fakes.delivery import PLENTY, config_map
from mesh_fakes.under_way import under_way
from mesh_placement.deliver import Deliverer
from mesh_placement.names import ANNOTATION_REVISION, LABEL_ASSIGNMENT
from mesh_placement.resources import APPLIED_WORKS, ASSIGNMENTS, WORKS
from mesh_runtime.kube import NAMESPACES, KubeClient

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SPACE = "cluster-east"
CONFIGS = "/api/v1/configmaps/shop/"

Parts = Mapping[str, frozenset[str]]
"""Names of ConfigMaps by the Work that brings them."""


@dataclass
class Scene:
    """Whoever decides (`hub`), and the member."""

    hub: DeliveredApi = field(default_factory=DeliveredApi)
    member: DeliveredApi = field(default_factory=DeliveredApi)

    @property
    def decider(self) -> KubeClient:
        """Who writes Works."""
        return self.hub.client("decider")

    def engine(self) -> Deliverer:
        """One that knows nothing yet."""
        return Deliverer(
            self.hub.client("engine"),
            self.member.client("engine"),
            namespace=SPACE,
            cluster="east",
            budgets=PLENTY,
        )

    async def prepare(self) -> None:
        """The namespace that the ConfigMaps are in."""
        body = {"metadata": {"name": "shop"}, "status": {"phase": "Active"}}
        await self.member.client().create(NAMESPACES, body)

    async def assign(self, parts: Parts, *, revision: int) -> None:
        """Write the Assignment."""
        body = {
            "metadata": {"name": "shop", "namespace": SPACE},
            "spec": {"revision": revision, "works": sorted(parts)},
        }
        await self.decider.apply(ASSIGNMENTS, body, field_manager="decider")

    async def write(self, work: str, names: frozenset[str], *, revision: int) -> None:
        """Write one Work."""
        manifests = [config_map(name) for name in sorted(names)]
        meta: dict[str, Any] = {  # Any: JSON
            "name": work,
            "namespace": SPACE,
            "labels": {LABEL_ASSIGNMENT: "shop"},
            "annotations": {ANNOTATION_REVISION: str(revision)},
        }
        body = {"metadata": meta, "spec": {"workload": {"manifests": manifests}}}
        await self.decider.apply(WORKS, body, field_manager="decider")

    async def drop(self, work: str) -> None:
        """Delete one Work."""
        await self.decider.delete(WORKS, work, namespace=SPACE)

    def there(self) -> set[str]:
        """The ConfigMaps in the member."""
        return {path.removeprefix(CONFIGS) for path in self.member.paths() if path.startswith(CONFIGS)}

    async def remembered(self) -> dict[str, set[str]]:
        """What each inventory lists that lists something."""
        found = (await self.member.client().list(APPLIED_WORKS)).items
        listed = {one.metadata.name: {each.name for each in one.status.applied_resources} for one in found}
        return {work: names for work, names in listed.items() if names}


def cut(names: frozenset[str], dice: random.Random) -> Parts:
    """The names in one to four Works, each somewhere."""
    parts: dict[str, set[str]] = {f"part-{number}": set() for number in range(1, dice.randint(2, 5))}
    for name in sorted(names):
        parts[dice.choice(sorted(parts))].add(name)
    return {work: frozenset(found) for work, found in parts.items()}


@pytest.mark.parametrize("seed", range(40))
async def test_no_object_that_stays_wanted_is_deleted_however_works_are_cut_anew(seed: int) -> None:
    """Written in any order, Works that are no more last; the engine may begin anew anywhere."""
    dice = random.Random(seed)
    scene = Scene()
    await scene.prepare()
    names = [f"c{number}" for number in range(8)]
    before: Parts = {}
    running: asyncio.Task[None] | None = None
    try:
        for revision in range(1, 6):
            wanted = frozenset(dice.sample(names, dice.randint(1, 8)))
            parts = cut(wanted, dice)
            stay = wanted & frozenset().union(*before.values())
            del scene.member.deleted[:]
            steps = ["", *parts]
            dice.shuffle(steps)
            for step in [*steps, *sorted(before.keys() - parts.keys())]:
                if step == "":
                    await scene.assign(parts, revision=revision)
                elif step in parts:
                    await scene.write(step, parts[step], revision=revision)
                else:
                    await scene.drop(step)
                if running is None or dice.random() < 0.2:
                    await ended(running)
                    running = asyncio.create_task(scene.engine().run())
                await asyncio.sleep(dice.choice((0, 0, 0.001, 1, 40)))
            if dice.random() < 0.7:
                await asyncio.sleep(60)
                assert scene.there() == wanted
                assert await scene.remembered() == {
                    work: set(found) for work, found in parts.items() if found
                }
            lost = stay & {path.removeprefix(CONFIGS) for path in scene.member.deleted}
            assert not lost, f"revision {revision}"
            before = parts
    finally:
        await ended(running)


async def ended(task: "asyncio.Task[None] | None") -> None:
    """The engine is stopped, wherever it is."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])


async def test_what_goes_into_another_part_is_the_first_ones_until_the_other_has_it() -> None:
    scene = Scene()
    await scene.prepare()
    async with under_way(scene.engine().run()):
        await scene.assign({"a": frozenset(), "b": frozenset()}, revision=1)
        await scene.write("a", frozenset({"one", "two"}), revision=1)
        await scene.write("b", frozenset({"three"}), revision=1)
        await asyncio.sleep(60)
        uid = (scene.member.peek("/api/v1/namespaces/shop/configmaps/two") or {})["metadata"]["uid"]
        await scene.assign({"a": frozenset(), "b": frozenset()}, revision=2)
        await scene.write("a", frozenset({"one"}), revision=2)
        await asyncio.sleep(600)
        assert await scene.remembered() == {"a": {"one", "two"}, "b": {"three"}}
        await scene.write("b", frozenset({"two", "three"}), revision=2)
        await asyncio.sleep(60)
        assert await scene.remembered() == {"a": {"one"}, "b": {"two", "three"}}
        assert scene.member.deleted == []
        assert (scene.member.peek("/api/v1/namespaces/shop/configmaps/two") or {})["metadata"]["uid"] == uid


async def test_who_writes_no_revisions_lets_go_at_once() -> None:
    scene = Scene()
    await scene.prepare()
    async with under_way(scene.engine().run()):
        for names in ({"one", "two"}, {"one"}):
            body = {
                "metadata": {"name": "a", "namespace": SPACE},
                "spec": {"workload": {"manifests": [config_map(name) for name in sorted(names)]}},
            }
            await scene.assign({"a": frozenset()}, revision=len(names))
            await scene.decider.apply(WORKS, body, field_manager="decider")
            await asyncio.sleep(60)
            assert scene.there() == names


async def test_an_engine_that_begins_anew_says_nothing_of_what_it_has_not_looked_at() -> None:
    """It wrote "not whole, nothing ready" of an Assignment that was whole, until it had looked."""
    scene = Scene()
    await scene.prepare()
    parts = {"a": frozenset({"one"}), "b": frozenset({"two"})}
    async with under_way(scene.engine().run()):
        await scene.assign(parts, revision=1)
        for work, names in parts.items():
            await scene.write(work, names, revision=1)
        await asyncio.sleep(60)
    (before,) = (await scene.decider.list(ASSIGNMENTS, namespace=SPACE)).items
    assert (before.status.applied, before.status.health) == (1, "Healthy")
    del scene.hub.requests[:]
    async with under_way(scene.engine().run()):
        await asyncio.sleep(60)
    assert [path for _, _, path in scene.hub.requests if "/assignments/" in path] == []
    (after,) = (await scene.decider.list(ASSIGNMENTS, namespace=SPACE)).items
    assert after.status == before.status

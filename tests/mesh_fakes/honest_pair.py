"""Two honest members and a hostile one: all objects of both are compared before and after each attack.

West and east have real controllers and are linked with each other and with mallory (`hostile_member`). West
is on one network with her, east on none.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mesh_core.names import LABEL_CLUSTER
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.hostile_member import NAME, Line, dialled_by, export, shard
from mesh_fakes.members import GATEWAY_PODS, Member, new_member
from mesh_fakes.untouched import Picture, notes_of_ports, picture
from mesh_fakes.waiting import until
from mesh_runtime.kube import ENDPOINT_SLICES, IMPORTED_RECORDS, LEASES, SERVICE_IMPORTS, SERVICES

LIMITS = {"services": 12, "ports": 40, "standIns": 5, "endpoints": 300, "weightShare": 50}
RANGE = "10.9.0.0/16"
"""Where mallory's pods lie, on the network that she shares with west."""
GOOD = frozenset({"demo/evil", "demo/evil-db"})
"""What she exports in every list."""
STEER = "mallory-says"
"""A value that stands on no object but those that repeat what she said."""

Attack = Callable[[Line], Awaitable[None]]


@dataclass(slots=True)
class Scene:
    """`turn` counts honest changes, `visits` the streams to her; `lines` are those of the moment."""

    west: Member
    east: Member
    turn: int = 1
    visits: int = 0
    lines: dict[str, Line] = field(default_factory=dict)

    @property
    def victims(self) -> tuple[Member, Member]:
        """Both of them."""
        return self.west, self.east

    async def withstand(
        self, attack: Attack, *, what: str, stands: bool, may: Collection[str] | None = GOOD
    ) -> None:
        """One attack on the streams that both victims have opened to her.

        `stands` says that the streams outlive it. `may` are the Services that she may export after it, None
        for as many as her limit is.
        """

        async def on(line: Line) -> None:
            await attack(line)
            if stands:
                await self.hears(line)
            else:
                assert await line.is_closed(), what

        before = await self.pictures()
        async with self.visited():
            await asyncio.gather(*map(on, self.lines.values()))
            await self.is_untouched(before, what=what, may=may)
        await self.are_well()

    async def pictures(self) -> list[tuple[Picture, Collection[str]]]:
        """Everything but what is mallory's, once all is quiet."""
        await self.still()
        return [(picture(one, but=NAME, names="evil"), notes_of_ports(one)) for one in self.victims]

    async def is_untouched(
        self, before: list[tuple[Picture, Collection[str]]], *, what: str, may: Collection[str] | None = GOOD
    ) -> None:
        """Nothing has changed but what is hers, and that is within its bounds."""
        now = await self.pictures()
        for victim, (old, ports), (new, notes) in zip(self.victims, before, now, strict=True):
            changed = {place for place in {**old, **new} if old.get(place) != new.get(place)}
            assert not changed, (what, victim.name, changed)
            assert set(ports) <= set(notes), what
            assert len(taken(victim)) <= LIMITS["services"], what
            assert may is None or taken(victim) <= set(may), (what, taken(victim))
            reaches_nobody_else(victim)

    async def are_well(self) -> None:
        """A change of each honest member reaches the other."""
        self.turn = self.turn % 9 + 1
        for one in self.victims:
            beats(one, self.turn)
        await until(lambda: told(self.west, "east") == told(self.east, "west") == self.turn)

    async def still(self) -> None:
        """Until nobody has written anything for a while."""
        async with asyncio.timeout(120):
            seen = -1
            while seen != (seen := sum(len(one.api.requests) for one in self.victims)):
                for _ in range(8):
                    await asyncio.sleep(0.01)

    @asynccontextmanager
    async def visited(self) -> AsyncIterator[None]:
        """A stream of each victim to mallory."""
        self.visits += 1
        spec = {"import": {"namespaces": ["demo", "lab"], "podCIDRs": [RANGE], "limits": LIMITS}}
        async with (
            dialled_by(self.west, spec={**spec, "network": "blue"}) as one,
            dialled_by(self.east, spec=spec) as other,
        ):
            self.lines = {"west": one, "east": other}
            yield

    async def hears(self, line: Line) -> None:
        """Until the victim has taken all that was said before, on a stream that stands."""
        name = f"evil-{self.visits}"
        victim = self.west if line.victim == "west" else self.east
        line.drop("demo", "evil")
        line.put(export(name))
        await until(lambda: f"demo/{name}" in taken(victim), limit=90)
        line.drop("demo", name)
        await until(lambda: f"demo/{name}" not in taken(victim), limit=90)


@asynccontextmanager
async def honest_pair() -> AsyncIterator[Scene]:
    """West and east, linked with each other and with mallory; everybody has seen everybody."""
    clusterset = FakeClusterset()
    namespaces = ("demo", "secret", "lab", "default", "kube-public")
    west = new_member("west", clusterset=clusterset, namespaces=namespaces)
    east = new_member("east", clusterset=clusterset, namespaces=namespaces)
    west.network("blue")
    for one in (west, east):
        one.service()
        one.endpoints("10.2.0.1" if one is west else "10.1.0.1")
        one.export()
        one.service("own", namespace="secret")
        one.service(f"beat-{one.name}")
        one.export(f"beat-{one.name}")
        beats(one, 1)
    async with west.running(), east.running():
        west.knows(east)
        east.knows(west)
        found = Scene(west, east)
        await until(lambda: told(west, "east") == told(east, "west") == 1, limit=90)
        await until(lambda: bool(west.slices("east") and east.slices("west")), limit=90)
        await until(lambda: has_lease(west, "east") and has_lease(east, "west"), limit=90)
        # Linked with her from here on: who is linked with whom stands in everybody's MeshPeers.
        async with found.visited():
            for line in found.lines.values():
                await greeted(line)
                await found.hears(line)
        yield found


async def greeted(line: Line) -> None:
    """Two good exports, one of them headless, in a list that is whole."""
    line.greet()
    line.put(export("evil"), export("evil-db", type="Headless"), shard("10.9.0.7", name="evil-db", number=1))
    line.sync()
    await line.hear_until("ack")


def beats(member: Member, number: int) -> None:
    """Its Service that nobody else exports has so many pods."""
    member.endpoints(*(f"10.3.0.{n}" for n in range(1, number + 1)), name=f"beat-{member.name}")


def told(member: Member, source: str) -> int:
    """How many pods that Service of `source` has, as `member` shows it; 0 while it shows none."""
    found = member.slices(source, name=f"beat-{source}")
    text = found[0].metadata.annotations.get("meshctl.dev/ready-endpoints", "") if found else ""
    return int(text.removeprefix('{"http": ').removesuffix("}")) if text else 0


def has_lease(member: Member, peer: str) -> bool:
    """Whether there is one that says when the peer was last heard."""
    return any(one.metadata.name == f"peer-{peer}" for one in member.api.all(LEASES))


def taken(member: Member) -> set[str]:
    """The Services that are accepted from mallory, as namespace/name."""
    found = (one.spec for one in member.api.all(IMPORTED_RECORDS))
    return {f"{one.namespace}/{one.name}" for one in found if one.cluster == NAME}


def reaches_nobody_else(victim: Member) -> None:
    """Her slices list her own pods, our gateways, or her stand-ins, of which there are so many at most."""
    services = victim.api.all(SERVICES)
    stand_ins = [one for one in services if one.metadata.labels.get(LABEL_CLUSTER) == NAME]
    assert len(stand_ins) <= LIMITS["standIns"]
    known = {ip for one in stand_ins for ip in one.spec.cluster_ips} | set(GATEWAY_PODS)
    for piece in victim.api.all(ENDPOINT_SLICES):
        if NAME in piece.metadata.labels.values():
            listed = {address for one in piece.endpoints or () for address in one.addresses}
            assert not {one for one in listed - known if not one.startswith("10.9.")}, piece.metadata.name
    for one in (*services, *victim.api.all(SERVICE_IMPORTS), *victim.api.all(ENDPOINT_SLICES)):
        said = {**one.metadata.labels, **one.metadata.annotations}
        assert not [key for key, value in said.items() if value == STEER], one.metadata.name

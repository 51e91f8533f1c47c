"""A root is rotated while gateways carry streams: each follows the statement by itself, and no call fails.

Statements, certificates, leaves, handshakes and tunnels are real. The two members hear of each phase one
after the other, so that they are at adjacent phases for a while, with callers all the time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from msgspec.structs import replace

from mesh_core.identity import Component, Identity
from mesh_core.membership import Membership, membership_of
from mesh_core.names import PROPERTY_CLUSTER_ID, TRUST_BUNDLE
from mesh_core.objects import ClusterProperty, TrustBundle
from mesh_core.objects.mesh import ClusterPropertySpec
from mesh_core.objects.meta import Meta
from mesh_core.objects.trust import RosterEntry, Statement, TrustBundleSpec
from mesh_core.rotation import Nothing, Report, next_step
from mesh_fakes.backends import backend, echo
from mesh_fakes.clusterset import DOMAIN, FakeClusterset
from mesh_fakes.gateways import LOOPBACK, Ingress, Leaf, Outlet, egress, ingress, on_both_loops
from mesh_fakes.membership import FakeMembership
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.clock import utc_now
from mesh_runtime.intermediate import intermediate_in_force, own_leaf
from mesh_runtime.leaf import LeafSource
from mesh_runtime.pem import certificates_from_pem, certificates_to_pem
from mesh_runtime.pki import Authority, make_root
from mesh_runtime.rotation import root_entry, stepped
from mesh_runtime.tls import Credentials
from mesh_runtime.trust_signing import key_id_of, signed

EAST_FIRST, WEST_FIRST = ("east", "west"), ("west", "east")


@dataclass
class Member:
    """A cluster that goes by statements: its controller signs by what counts, its gateway shows that."""

    cluster: str
    authority: Authority
    membership: FakeMembership
    leaf: Leaf = field(default_factory=lambda: Leaf(None))

    async def issue(self, identity: Identity) -> Credentials:
        """As its controller does for each request."""
        current = self.membership.current
        assert current is not None
        stored = certificates_to_pem(self.authority.chain)
        self.authority = intermediate_in_force(stored, key=self.authority.key, membership=current)
        return own_leaf(self.authority, identity=identity, clock=utc_now)

    async def keep(self) -> None:
        """The gateway's certificate, for ever."""
        source = LeafSource(self, component=Component.GATEWAY, membership=self.membership, jitter=lambda: 0.1)
        async with asyncio.TaskGroup() as group:
            group.create_task(source.run())
            while True:
                self.leaf.current = await source.after(self.leaf.current)

    @property
    def settled(self) -> int:
        return self.leaf.current.settled if self.leaf.current is not None else 0


class Rotation:
    """The root's folder: makes the next statement when both members have settled on the last one."""

    def __init__(self) -> None:
        self.clusterset = FakeClusterset()
        self.root, self.new = self.clusterset.root, make_root(DOMAIN, now=self.clusterset.now)
        self.roots = {root_entry(one).key: one for one in (self.root, self.new)}
        roster = tuple(
            RosterEntry(
                cluster=name,
                keys=(key_id_of(self.clusterset.member(name).key.public_key()),),
                certificates=(certificates_to_pem((self.clusterset.member(name).certificate,)).decode(),),
            )
            for name in EAST_FIRST
        )
        self.statement = Statement(domain=DOMAIN, generation=1, roots=(root_entry(self.root),), roster=roster)
        self.members = {name: self._member(name) for name in EAST_FIRST}

    def _member(self, name: str) -> Member:
        return Member(name, self.clusterset.member(name), FakeMembership(self.membership(name)))

    def membership(self, cluster: str) -> Membership:
        """What the member's objects say when it has the newest statement."""
        name = ClusterProperty(
            metadata=Meta(name=PROPERTY_CLUSTER_ID), spec=ClusterPropertySpec(value=cluster)
        )
        text = signed(self.statement, by=[one.key for one in self.roots.values()])
        spec = TrustBundleSpec(domain=DOMAIN, statement=text)
        found = membership_of(name, TrustBundle(metadata=Meta(name=TRUST_BUNDLE), spec=spec))
        assert isinstance(found, Membership)
        return found

    def advance(self) -> bool:
        """The next phase; False when it is over."""
        reports = {name: Report(one.settled) for name, one in self.members.items()}
        new = root_entry(self.new).key
        step = next_step(self.statement, reports=reports, keys=set(self.roots), now=utc_now(), wanted=new)
        if step == Nothing():
            return False
        made = stepped(self.statement, step=step, roots=self.roots, now=utc_now())
        assert made != self.statement, f"{step}"
        self.statement = replace(made, generation=self.statement.generation + 1)
        return True

    def tell(self, cluster: str) -> None:
        """The statement reaches this member."""
        self.members[cluster].membership.become(self.membership(cluster))

    async def settle(self, cluster: str) -> None:
        """Returns when this member has settled on the statement."""
        await until(lambda: self.members[cluster].settled == self.statement.generation, limit=90)


@dataclass
class Callers:
    """Who calls all the time, each call on a connection of its own, one stream for as long as it goes on."""

    port: int
    calls: int = 0
    failures: list[str] = field(default_factory=list)
    is_over: bool = False

    async def call(self) -> None:
        """Until it is over."""
        while not self.is_over:
            try:
                async with asyncio.timeout(60):
                    reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
                    try:
                        await said(reader, writer, text=b"again")
                    finally:
                        writer.close()
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                self.failures.append(f"call {self.calls}: {error!r}")
            self.calls += 1
            await asyncio.sleep(0.005)

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """Two of them beside the block; each ends with a whole call."""
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(self.call())
            try:
                yield
            finally:
                self.is_over = True

    async def some(self) -> None:
        """Returns after so many more calls that some of them began later than now."""
        before = self.calls
        await until(lambda: self.calls >= before + 20 or bool(self.failures), limit=90)


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, text: bytes) -> None:
    writer.write(text)
    assert await reader.readexactly(len(text)) == text


@dataclass
class Scene:
    rotation: Rotation
    far: Ingress
    near: Outlet


@asynccontextmanager
async def scene(*, tunnels: bool) -> AsyncIterator[Scene]:
    """East serves, west's callers call; both members follow what they are told."""
    rotation = Rotation()
    east, west = (rotation.members[name] for name in EAST_FIRST)
    async with under_way(east.keep(), west.keep()):
        for one in EAST_FIRST:
            await rotation.settle(one)
        async with (
            backend(echo) as there,
            ingress(rotation.clusterset, "east", endpoints=(there,), leaf=east.leaf) as far,
            egress(rotation.clusterset, {"east": (far.address,)}, leaf=west.leaf, tunnels=tunnels) as near,
        ):
            yield Scene(rotation, far, near)


async def rotated_under_calls(*, tunnels: bool, order: tuple[str, str]) -> None:
    async with scene(tunnels=tunnels) as place:
        rotation, callers = place.rotation, Callers(place.near.port)
        reader, writer = await asyncio.open_connection(LOOPBACK, place.near.port)
        await said(reader, writer, text=b"before")
        async with callers.calling():
            await callers.some()
            while rotation.advance():
                for cluster in order:
                    rotation.tell(cluster)
                    await callers.some()
                for cluster in order:
                    await rotation.settle(cluster)
                await callers.some()
                await said(reader, writer, text=b"still here")
            if tunnels:
                # From one below the old root to one below the new, which the gateways see to by themselves.
                await until(lambda: below(place.near) == {root_entry(rotation.new).key}, limit=90)
            await callers.some()
        assert callers.failures == []
        assert rotation.statement.generation == 5
        await said(reader, writer, text=b"behind")
        writer.close()
        for member in rotation.members.values():
            standing = member.leaf.current
            assert standing is not None and len(standing.roots) == 1
            chain = certificates_from_pem(standing.credentials.chain_pem, what="its chain")
            chain[-1].verify_directly_issued_by(rotation.new.certificate)


def below(half: Outlet) -> set[str]:
    """The roots above the other ends of the tunnels that take streams."""
    believed = (one.believed for one in half.tunnels.all() if one.left_at is None)
    return {one.chain.root for one in believed if one is not None}


@on_both_loops
async def test_no_call_on_a_connection_of_its_own_fails_while_the_callee_is_a_phase_ahead() -> None:
    await rotated_under_calls(tunnels=False, order=EAST_FIRST)


@on_both_loops
async def test_no_call_on_a_connection_of_its_own_fails_while_the_caller_is_a_phase_ahead() -> None:
    await rotated_under_calls(tunnels=False, order=WEST_FIRST)


@on_both_loops
async def test_no_call_in_a_tunnel_fails_while_the_callee_is_a_phase_ahead() -> None:
    await rotated_under_calls(tunnels=True, order=EAST_FIRST)


@on_both_loops
async def test_no_call_in_a_tunnel_fails_while_the_caller_is_a_phase_ahead() -> None:
    await rotated_under_calls(tunnels=True, order=WEST_FIRST)


@on_both_loops
async def test_who_slept_is_refused_when_the_old_root_is_gone_and_back_when_it_hears() -> None:
    """And so the calls above are not served by somebody who asks for nothing."""
    async with scene(tunnels=False) as place:
        rotation = place.rotation
        for _ in range(3):
            asleep, rotation.members["west"] = rotation.members["west"], rotation.members["east"]
            assert rotation.advance()
            rotation.members["west"] = asleep
            rotation.tell("east")
            await rotation.settle("east")
        reader, writer = await asyncio.open_connection(LOOPBACK, place.near.port)
        with suppress(OSError):
            writer.write(b"hello")
            assert await reader.read(5) == b""
        writer.close()
        rotation.tell("west")
        await rotation.settle("west")
        reader, writer = await asyncio.open_connection(LOOPBACK, place.near.port)
        await said(reader, writer, text=b"back")
        writer.close()

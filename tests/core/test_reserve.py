"""Which ports gateways listen to in advance, and that the controller's grants are among them (ruling 6)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_core.names import EGRESS_PORTS
from mesh_core.ports import (
    REST,
    WINDOW,
    Claim,
    ClaimTable,
    Note,
    Notes,
    PortsExhausted,
    PortTarget,
    grant,
    rest,
)
from mesh_gateway.reserve import HELD, Reserve

LOWEST = tuple(EGRESS_PORTS[:HELD])


def test_at_first_it_is_the_lowest_of_all() -> None:
    assert Reserve().spare(frozenset(), now=0) == LOWEST


def test_what_is_claimed_is_no_spare_port_and_others_take_its_place() -> None:
    claimed = frozenset(EGRESS_PORTS[:100:2])
    spare = Reserve().spare(claimed, now=0)
    assert len(spare) == HELD
    assert not claimed & set(spare)
    assert spare[-1] == EGRESS_PORTS[HELD + 49]


def test_a_port_whose_claim_went_lingers_then_rests_then_may_come_again() -> None:
    reserve, port = Reserve(), EGRESS_PORTS[0]
    reserve.spare(frozenset({port}), now=0)
    assert port in reserve.spare(frozenset(), now=10), "its slice may be on its way back"
    assert len(reserve.spare(frozenset(), now=10)) == HELD + 1, "beside those that may be granted"
    assert reserve.wait(11) == 29
    assert port not in reserve.spare(frozenset(), now=40)
    assert reserve.wait(41) == REST - 30 - 31
    assert reserve.spare(frozenset(), now=10 + REST) == (*LOWEST, EGRESS_PORTS[HELD])
    assert reserve.spare(frozenset(), now=41 + REST) == LOWEST
    assert reserve.wait(2 * REST) is None


def test_a_port_that_is_claimed_again_is_at_rest_no_more() -> None:
    reserve, port = Reserve(), EGRESS_PORTS[0]
    reserve.spare(frozenset({port}), now=0)
    reserve.spare(frozenset(), now=1)
    assert port not in reserve.spare(frozenset({port}), now=2)
    assert reserve.wait(3) is None


def claimed(ports: Iterable[int]) -> ClaimTable:
    """The table when somebody claims these ports."""
    table = ClaimTable()
    claims = tuple(Claim(port, PortTarget("x", "x", str(port)), "", "") for port in ports)
    table.change(("x", "x"), claims=claims)
    return table


def granted(target: PortTarget, *, table: ClaimTable, notes: Notes) -> int:
    return grant([target], table=table, notes=notes, now=1).ports[target]


def test_a_new_port_is_one_of_the_lowest_that_are_free_so_that_gateways_can_listen_in_advance() -> None:
    """Ruling 6: the slice names a port to which every gateway listens already."""
    table = claimed(EGRESS_PORTS[:300:3])
    notes = {port: Note("somebody", 0) for port in EGRESS_PORTS[1:300:3]}
    free = [port for port in EGRESS_PORTS if port not in table.ports() and port not in notes]
    targets = [PortTarget("demo", str(number), "http") for number in range(100)]
    alone = [granted(target, table=table, notes=notes) for target in targets]
    assert set(alone) <= set(free[:WINDOW])
    assert len(set(alone)) > 70, "by the name, so that they seldom want the same"
    together = grant(targets, table=table, notes=notes, now=1).ports
    assert set(together.values()) <= set(free[: WINDOW + 100])
    assert len(set(together.values())) == 100


def test_when_few_are_free_each_of_them_is_given_once_and_then_none() -> None:
    table = claimed(EGRESS_PORTS[:-3])
    targets = [PortTarget("demo", str(number), "http") for number in range(4)]
    assert set(grant(targets[:3], table=table, notes={}, now=0).ports.values()) == set(EGRESS_PORTS[-3:])
    with pytest.raises(PortsExhausted):
        grant(targets, table=table, notes={}, now=0)


@dataclass
class World:
    """A controller that grants and frees, and a gateway that sees its slices late; times in seconds."""

    now: float = 0.0
    table: ClaimTable = field(default_factory=ClaimTable)
    notes: Notes = field(default_factory=dict)
    slices: dict[PortTarget, int] = field(default_factory=dict)
    reserve: Reserve = field(default_factory=Reserve)
    born: int = 0

    def __post_init__(self) -> None:
        self.held = frozenset(self.reserve.spare(frozenset(), now=0))

    def imports(self, count: int) -> None:
        """So many new imports; the gateway has not heard of any before the last one is granted."""
        targets = [PortTarget("demo", str(self.born + number), "http") for number in range(count)]
        self.born += count
        found = grant(targets, table=self.table, notes=self.notes, now=self.now)
        self.notes = found.notes
        for target, port in found.ports.items():
            assert port in self.held, "somebody may come before the gateway listens"
            self.slices[target] = port
            self.table.change((target.service, ""), claims=(Claim(port, target, str(self.now), ""),))

    def forgets(self, count: int) -> None:
        """So many of the oldest imports go."""
        gone = {self.slices.pop(target): target for target in list(self.slices)[:count]}
        self.notes = rest(gone, notes=self.notes, now=self.now)
        for target in gone.values():
            self.table.change((target.service, ""), claims=())

    def seen(self, after: float) -> None:
        """The gateway has caught up, so much later."""
        self.now += after
        self.held = frozenset(self.reserve.spare(frozenset(self.slices.values()), now=self.now))


@settings(deadline=None, max_examples=100)
@given(
    story=st.lists(
        st.one_of(
            st.tuples(st.just("imports"), st.integers(1, WINDOW), st.floats(0.1, 5.0)),
            st.tuples(st.just("forgets"), st.integers(1, 2 * WINDOW), st.floats(0.1, 5.0)),
            st.tuples(st.just("waits"), st.just(0), st.sampled_from([60.0, 800.0, 880.0, 1000.0])),
        ),
        max_size=12,
    )
)
def test_whatever_comes_and_goes_a_grant_is_a_port_that_the_gateway_listens_to(
    story: list[tuple[str, int, float]],
) -> None:
    world = World()
    for what, count, after in story:
        match what:
            case "imports":
                world.imports(count)
            case "forgets":
                world.forgets(count)
        world.seen(after)

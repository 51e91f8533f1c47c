"""Whose an egress port is: allocation, rest, rightful claims (ruling 5)."""

from dataclasses import dataclass, field
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    EGRESS_PORTS,
    LABEL_CLUSTER,
    LABEL_ENDPOINT,
    LABEL_LANE,
    LABEL_NAMESPACE,
    LABEL_SERVICE,
    LABEL_SLICE_MANAGED_BY,
    MANAGER,
    SYSTEM_NAMESPACE,
)
from mesh_core.objects import EndpointPort, EndpointSlice, Meta
from mesh_core.ports import (
    REST,
    Claim,
    ClaimTable,
    Note,
    Notes,
    PortsExhausted,
    PortTarget,
    claims_of,
    grant,
    rest,
    rightful_claims,
)
from mesh_core.slices import mcs_labels

A = PortTarget("demo", "a", "http")
B = PortTarget("demo", "b", "http")
TARGETS = tuple(PortTarget("demo", name, "http") for name in "abcd")


def claim(port: int, target: PortTarget, *, created: str = "2026-01-01T00:00:00Z", uid: str = "u") -> Claim:
    return Claim(port=port, target=target, created=created, uid=uid)


def table_of(*claims: Claim) -> ClaimTable:
    table = ClaimTable()
    for number, found in enumerate(claims):
        table.change(("demo", str(number)), claims=(found,))
    return table


def granted(target: PortTarget, *, table: ClaimTable, notes: Notes, now: float) -> int:
    return grant([target], table=table, notes=notes, now=now).ports[target]


def test_a_port_is_below_the_ephemeral_range_and_the_same_in_every_life() -> None:
    first = granted(A, table=ClaimTable(), notes={}, now=0)
    assert first in range(16384, 32768)
    assert first == granted(A, table=ClaimTable(), notes={}, now=9e9)


def test_a_target_keeps_the_port_that_it_holds_and_nothing_is_noted() -> None:
    found = grant([A], table=table_of(claim(20000, A)), notes={}, now=0)
    assert found.ports == {A: 20000}
    assert not found.notes


def test_a_grant_is_noted() -> None:
    found = grant([A], table=ClaimTable(), notes={}, now=7)
    assert found.notes == {found.ports[A]: Note(A.token, 7)}


def test_a_noted_port_is_nobody_elses_until_it_has_rested() -> None:
    first = granted(A, table=ClaimTable(), notes={}, now=0)
    taken = table_of(*(claim(port, B) for port in EGRESS_PORTS if port != first))
    other = PortTarget("demo", "c", "http")
    with pytest.raises(PortsExhausted):
        grant([other], table=taken, notes={first: Note(A.token, 0)}, now=REST - 1)
    assert granted(other, table=taken, notes={first: Note(A.token, 0)}, now=REST + 1) == first


def test_a_resting_port_goes_back_to_whom_it_was_for() -> None:
    assert granted(A, table=ClaimTable(), notes={20000: Note(A.token, 0)}, now=10) == 20000


def test_several_targets_of_one_look_get_different_ports() -> None:
    targets = [PortTarget("demo", "hello", str(number)) for number in range(300)]
    found = grant(targets, table=ClaimTable(), notes={}, now=0)
    assert len(set(found.ports.values())) == 300


def test_rest_forgets_what_has_rested() -> None:
    assert rest({20001: B}, notes={20000: Note(A.token, 0)}, now=REST + 1) == {20001: Note(B.token, REST + 1)}


def test_the_older_claim_is_the_rightful_one_then_the_lower_uid() -> None:
    older = claim(20000, B, created="2026-01-01T00:00:00Z", uid="z")
    younger = claim(20000, A, created="2026-01-02T00:00:00Z", uid="a")
    assert rightful_claims([younger, older]) == {20000: B}
    twin = claim(20000, A, created="2026-01-01T00:00:00Z", uid="a")
    assert rightful_claims([older, twin]) == {20000: A}


def test_who_lost_a_port_gets_another() -> None:
    table = table_of(claim(20000, A), claim(20000, B, created="2026-02-01T00:00:00Z"))
    found = grant([A, B], table=table, notes={}, now=0)
    assert found.ports[A] == 20000
    assert found.ports[B] != 20000
    assert table.contested() == {20000}


def test_a_note_does_not_give_a_port_that_somebody_else_claims() -> None:
    table = table_of(claim(20000, B))
    assert granted(A, table=table, notes={20000: Note(A.token, 0)}, now=0) != 20000


def test_of_two_ports_that_are_its_own_a_target_keeps_the_older() -> None:
    table = table_of(claim(20001, A, created="2026-02-01T00:00:00Z"), claim(20000, A))
    assert table.port_of(A) == 20000


GATEWAYS = {ANNOTATION_READY_ENDPOINTS: "{}"}
OURS = {LABEL_SLICE_MANAGED_BY: MANAGER}
LANE = {**OURS, LABEL_SERVICE: "hello", LABEL_LANE: "2"}
STAND_IN = {
    **OURS,
    LABEL_CLUSTER: "west",
    LABEL_NAMESPACE: "demo",
    LABEL_SERVICE: "hello",
    LABEL_ENDPOINT: "db-0",
}


def piece(
    labels: dict[str, str],
    *ports: int,
    annotations: dict[str, str] | None = None,
    namespace: str = "demo",
) -> EndpointSlice:
    return EndpointSlice(
        metadata=Meta(
            name="s",
            namespace=namespace,
            uid="u",
            creation_timestamp="2026-01-01T00:00:00Z",
            labels=labels,
            annotations=annotations or {},
        ),
        ports=tuple(EndpointPort(name="http", port=port) for port in ports),
    )


def of(cluster: str) -> dict[str, str]:
    return mcs_labels(service="hello", cluster=cluster)


def test_claims_are_read_from_our_slices_of_other_clusters_that_list_gateways() -> None:
    target = PortTarget("demo", "hello", "http")
    remote = piece(of("west"), 20000, annotations=GATEWAYS)
    assert claims_of(remote, cluster="east") == (claim(20000, target),)
    assert not claims_of(piece(of("east"), 20000, annotations=GATEWAYS), cluster="east")
    assert not claims_of(piece({}, 20000, annotations=GATEWAYS), cluster="east")
    assert not claims_of(piece(of("west"), 8080, annotations=GATEWAYS), cluster="east"), "no egress port"


def test_a_port_of_a_neighbours_pod_is_no_claim() -> None:
    """Pods may listen on 20000 as well; only the annotation tells their slices from those of gateways."""
    assert not claims_of(piece(of("west"), 20000), cluster="east")


def test_a_lane_claims_a_port_of_its_own_for_the_same_service() -> None:
    target = PortTarget("demo", "hello", "http", lane=2)
    assert claims_of(piece(LANE, 20000), cluster="east") == (claim(20000, target),)
    assert not claims_of(piece({**LANE, LABEL_LANE: "two"}, 20000), cluster="east")


def test_a_stand_in_claims_ports_for_its_endpoint_and_only_from_our_namespace() -> None:
    target = PortTarget("demo", "hello", "http", cluster="west", endpoint="db-0")
    found = claims_of(piece(STAND_IN, 20000, namespace=SYSTEM_NAMESPACE), cluster="east")
    assert found == (claim(20000, target),)
    assert not claims_of(piece(STAND_IN, 20000), cluster="east")
    nobodys = {key: text for key, text in STAND_IN.items() if key != LABEL_CLUSTER}
    assert not claims_of(piece(nobodys, 20000, namespace=SYSTEM_NAMESPACE), cluster="east")


@pytest.mark.parametrize(
    "other",
    [
        PortTarget("demo", "a", "http", lane=1),
        PortTarget("demo", "a", "http", cluster="west", endpoint="db-0"),
        PortTarget("demo", "a", "http", cluster="west", endpoint="db-1"),
    ],
)
def test_lanes_and_endpoints_of_one_service_get_ports_of_their_own(other: PortTarget) -> None:
    found = grant([A, other], table=ClaimTable(), notes={}, now=0)
    assert len(set(found.ports.values())) == 2


changes = st.lists(
    st.tuples(
        st.sampled_from("xyz"),
        st.lists(st.builds(claim, st.sampled_from([1, 2, 3]), st.sampled_from([A, B])), max_size=3),
    ),
    max_size=12,
)


@given(changes=changes)
def test_the_table_knows_what_a_walk_over_all_slices_would_find(
    changes: list[tuple[str, list[Claim]]],
) -> None:
    table, slices = ClaimTable(), dict[str, list[Claim]]()
    for name, claims in changes:
        table.change(("demo", name), claims=tuple(claims))
        slices[name] = claims
    everything = [found for claims in slices.values() for found in claims]
    assert set(table.ports()) == {found.port for found in everything}
    for port in (1, 2, 3):
        assert table.claimants(port) == {found.target for found in everything if found.port == port}
    owners = rightful_claims(everything)
    for target in (A, B):
        mine = table.port_of(target)
        assert (mine is not None) == (target in owners.values())
        assert mine is None or owners[mine] == target


LAG = 300.0
ACT = 30.0
STEPS = st.sampled_from(["wait a bit", "wait", "wait long", "look", "grant", "free", "act"])
WAITS = {"wait a bit": 20.0, "wait": 140.0, "wait long": 500.0}


@cache
def one_port_left() -> ClaimTable:
    """Others claim all ports but one; made once, because there are 16,384."""
    table = ClaimTable()
    others = tuple(claim(port, PortTarget("x", "x", str(port))) for port in EGRESS_PORTS[1:])
    table.change(("x", "x"), claims=others)
    return table


@dataclass
class Leader:
    """A controller that believes that it leads: its cache lags, and it may sleep between note and deed."""

    sees: int = 0
    pending: list[tuple[str, PortTarget, int, float]] = field(default_factory=list)


class TwoLeaders:
    """Two leaders over an API with optimistic locking; one port is left, and A and B want it.

    Slices are a history of states; whoever reads sees one of them that is at most LAG seconds behind.
    What follows a note follows within ACT seconds, as the import loop's limit has it.
    """

    def __init__(self) -> None:
        self.now = 10_000.0
        self.notes: Notes = {}
        self.slices: dict[PortTarget, Claim] = {}
        self.history: list[tuple[float, dict[PortTarget, Claim]]] = [(self.now, {})]
        self.leaders = (Leader(), Leader())
        self.born = 0
        self.table = one_port_left()
        for target in (A, B):
            self.table.change((target.namespace, target.service), claims=())

    def step(self, what: str, leader: Leader, wish: PortTarget) -> None:
        match what:
            case "look":
                leader.sees = len(self.history) - 1
            case "grant":
                self.grant(leader, wish)
            case "free":
                self.free(leader, wish)
            case "act":
                self.act(leader)
            case _:
                self.now += WAITS[what]

    def visible(self) -> range:
        """The states that somebody may see who lags by at most LAG."""
        stale = [number for number, (at, _) in enumerate(self.history) if at < self.now - LAG]
        return range(stale[-1] if stale else 0, len(self.history))

    def grant(self, leader: Leader, wish: PortTarget) -> None:
        leader.sees = max(leader.sees, self.visible()[0])
        for target in (A, B):
            held = self.history[leader.sees][1].get(target)
            self.table.change((target.namespace, target.service), claims=(held,) if held else ())
        try:
            found = grant([wish], table=self.table, notes=self.notes, now=self.now)
        except PortsExhausted:
            return
        self.notes = found.notes
        leader.pending.append(("claim", wish, found.ports[wish], self.now))

    def free(self, leader: Leader, wish: PortTarget) -> None:
        held = self.slices.get(wish)
        if held is not None:
            self.notes = rest({held.port: wish}, notes=self.notes, now=self.now)
            leader.pending.append(("free", wish, held.port, self.now))

    def act(self, leader: Leader) -> None:
        if not leader.pending:
            return
        kind, target, port, at = leader.pending.pop(0)
        held = self.slices.get(target)
        if self.now - at > ACT:
            return
        if kind == "claim" and held is None:
            self.born += 1
            self.slices[target] = claim(port, target, created=f"{self.born:09}", uid=str(self.born))
        elif kind == "free" and held is not None and held.port == port:
            del self.slices[target]
        self.history.append((self.now, dict(self.slices)))

    def check(self) -> None:
        """Nobody is brought to a service that he did not ask for, whoever lags."""
        assert len({found.port for found in self.slices.values()}) == len(self.slices)
        states = [self.history[number][1] for number in self.visible()]
        for gateway in states:
            owners = rightful_claims(gateway.values())
            for proxy in states:
                for target, found in proxy.items():
                    assert owners.get(found.port, target) == target


# Chance seldom tells these two: a port given away soon after it was freed, and a leader that slept.
HASTY = [("grant", 0, A), ("act", 0, A), ("free", 0, A), ("act", 0, A), ("wait", 0, A), ("look", 0, A)]
SLEEPY = [("grant", 0, A), ("wait long", 0, A), ("wait long", 0, A), ("grant", 1, B), ("act", 1, B)]


@settings(max_examples=60, deadline=None)
@example(story=[*HASTY, ("grant", 0, B), ("act", 0, B)])
@example(story=[*SLEEPY, ("act", 0, A)])
@given(
    story=st.lists(
        st.tuples(STEPS, st.sampled_from([0, 1]), st.sampled_from([A, B])), min_size=15, max_size=40
    )
)
def test_two_leaders_and_lagging_readers_never_mix_up_two_services(
    story: list[tuple[str, int, PortTarget]],
) -> None:
    world = TwoLeaders()
    for what, who, wish in story:
        world.step(what, world.leaders[who], wish)
        world.check()


@given(
    claims=st.lists(
        st.tuples(st.sampled_from(TARGETS), st.integers(20000, 20003), st.integers(0, 9)),
        unique_by=lambda found: found[0],
        min_size=1,
    )
)
def test_after_settling_no_port_is_claimed_twice(claims: list[tuple[PortTarget, int, int]]) -> None:
    """Whatever a defect or a hand has written, each round moves the newer claims away."""
    slices = {
        target: claim(port, target, created=f"2026-01-0{day}", uid=target.service)
        for target, port, day in claims
    }
    before = rightful_claims(slices.values())
    notes: Notes = {}
    for _ in range(2):
        for target in slices:
            table = table_of(*slices.values())
            found = grant([target], table=table, notes=notes, now=0)
            notes = found.notes
            old = slices[target]
            slices[target] = claim(found.ports[target], target, created=old.created, uid=old.uid)
    ports = [found.port for found in slices.values()]
    assert len(ports) == len(set(ports))
    for port, owner in before.items():
        assert slices[owner].port == port, "who is right stays where he is"

"""Which tunnels a gateway dials and leaves, how often, and for how long each may take streams."""

import asyncio
import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.opening import TunnelHello
from mesh_gateway.route import Address
from mesh_gateway.tunnel_life import Life, life_of
from mesh_gateway.tunnel_log import TunnelLog, plain
from mesh_gateway.tunnel_pace import Pace, Tries
from mesh_gateway.tunnel_plan import is_surplus, plan_tunnels

WAY, OLD_WAY = Address("192.0.2.1", 15443), Address("192.0.2.9", 15443)
ENOUGH = 4


@dataclass(eq=False)
class Held:
    """An open tunnel to a gateway of the peer, as a plan sees it."""

    replica: str
    siblings: tuple[str, ...] = ()
    is_client: bool = True
    way: Address | None = WAY
    renew_by: float = math.inf
    left_at: float | None = None
    is_open: bool = True
    is_gone: bool = False
    is_exhausted: bool = False
    hello: TunnelHello | None = field(init=False)

    def __post_init__(self) -> None:
        self.hello = TunnelHello(cluster="west", replica=self.replica, siblings=self.siblings)


def tunnels(replicas: str, **fields: object) -> list[Held]:
    """One to each of these gateways, whose names are single letters."""
    return [Held(name, **fields) for name in replicas]  # type: ignore[arg-type]  # fields of Held


def left(held: list[Held]) -> str:
    """The gateways to which the tunnels go that a plan leaves."""
    plan = plan_tunnels(held, now=100.0, addresses=(WAY,), enough=ENOUGH)
    return "".join(tunnel.replica for tunnel in plan.leave)


def test_a_worn_tunnel_that_is_the_only_one_to_its_gateway_stays_until_another_goes_there() -> None:
    worn = tunnels("abca", renew_by=99.0, siblings=("a", "b", "c"))
    assert left([*worn, *tunnels("aaa")]) == "", "there are not enough yet"
    assert left([*worn, *tunnels("aaaa")]) == "aa"
    plan = plan_tunnels([*worn, *tunnels("aaaa")], now=100.0, addresses=(WAY,), enough=ENOUGH)
    assert plan.missing == {"b", "c"}, "they are looked for meanwhile"
    assert left([*worn, *tunnels("aaaab")]) == "aba"
    assert left([*worn, *tunnels("aaaabc")]) == "abca"


@pytest.mark.parametrize(
    "worn",
    [{"renew_by": 100.0}, {"is_exhausted": True}, {"way": OLD_WAY}],
    ids=["past its time", "its numbers are used up", "the peer has that address no more"],
)
def test_what_is_worn_is_replaced(worn: dict[str, object]) -> None:
    old = tunnels("aaaa", **worn)
    assert plan_tunnels(old, now=100.0, addresses=(WAY,), enough=ENOUGH).is_short
    assert left([*old, *tunnels("aaaa")]) == "aaaa"


def test_a_gateway_that_has_dialled_us_needs_no_tunnel_of_ours() -> None:
    ours = tunnels("aaaa", siblings=("a", "b"))
    theirs = tunnels("b", is_client=False, way=None)
    assert plan_tunnels(ours, now=0.0, addresses=(WAY,), enough=ENOUGH).missing == {"b"}
    assert not plan_tunnels([*ours, *theirs], now=0.0, addresses=(WAY,), enough=ENOUGH).missing


def test_what_came_to_a_gateway_that_has_one_is_surplus() -> None:
    held = tunnels("aaaab")
    assert is_surplus(held[0], among=held, now=0.0, addresses=(WAY,), enough=ENOUGH)
    assert not is_surplus(held[-1], among=held, now=0.0, addresses=(WAY,), enough=ENOUGH)
    assert not is_surplus(held[0], among=held[:-1], now=0.0, addresses=(WAY,), enough=ENOUGH)


def test_a_peer_that_names_ever_more_gateways_gets_a_bounded_number_of_tunnels() -> None:
    held: list[Held] = []
    for number in range(1000):
        plan = plan_tunnels(held, now=0.0, addresses=(WAY,), enough=ENOUGH)
        assert len(plan.named) <= 64
        if not (plan.is_short or plan.missing):
            break
        held.append(Held(f"r{number:04}", siblings=(f"r{number + 1:04}",)))
    assert len(held) <= ENOUGH + 64


def test_tunnels_that_were_left_and_go_on_count_against_a_bound_too() -> None:
    lingering = [Held("a", is_open=False, left_at=1.0) for _ in range(2 * (ENOUGH + 64))]
    assert not plan_tunnels(lingering, now=9.0, addresses=(WAY,), enough=ENOUGH).is_short
    assert plan_tunnels(lingering[1:], now=9.0, addresses=(WAY,), enough=ENOUGH).is_short


def test_dials_that_fail_are_ever_further_apart_until_a_tunnel_stays() -> None:
    pace = Pace(jitter=lambda: 1.0)
    now, waits = 0.0, []
    for _ in range(8):
        pace.failed(now=now)
        pace.failed(now=now)  # several that go at a time are one failure
        waits.append(round(pace.wait(now=now), 6))
        now += waits[-1]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 4.0, 4.0, 4.0]
    pace.stayed()
    pace.failed(now=now)
    assert round(pace.wait(now=now), 6) == 0.2


@given(st.floats(min_value=0, max_value=1, exclude_max=True))
def test_the_pause_is_never_below_half(jitter: float) -> None:
    pace = Pace(jitter=lambda: jitter)
    pace.failed(now=0.0)
    assert 0.1 <= pace.wait(now=0.0) <= 0.2


@pytest.mark.parametrize(("gateways", "tries"), [(1, 8), (3, 12), (12, 48), (64, 256)])
def test_tries_for_gateways_without_a_tunnel_are_in_proportion_to_their_number(
    gateways: int, tries: int
) -> None:
    book = Tries()

    def taken(now: float) -> int:
        return sum(book.take(now=now, gateways=gateways) for _ in range(1000))

    assert taken(0.0) == tries
    assert taken(0.0) == 0
    assert taken(30.0) == tries // 2, "time gives them back"
    assert taken(1e6) == tries


def test_a_try_that_finds_a_gateway_costs_nothing() -> None:
    book = Tries()
    for _ in range(100):
        assert book.take(now=0.0, gateways=12)
        book.give_back()


@pytest.mark.parametrize(
    ("good_for", "life"),
    [
        (math.inf, Life(renew_by=1100.0, leave_by=1125.0)),
        (1e6, Life(renew_by=1100.0, leave_by=1125.0)),
        (110.0, Life(renew_by=1099.0, leave_by=1110.0)),
        (20.0, Life(renew_by=1018.0, leave_by=1020.0)),
        (0.0, Life(renew_by=1010.0, leave_by=1000.0)),
    ],
)
def test_a_tunnel_takes_streams_no_longer_than_the_certificate_of_the_other_end_is_good(
    good_for: float, life: Life
) -> None:
    assert life_of(now=1000.0, longest=100.0, good_for=good_for) == life


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("a\nb\x1b[2J", r"a\nb\x1b[2J"), ("ä€", r"\xe4\u20ac"), ("x" * 999, "x" * 200)],
)
def test_the_words_of_a_peer_are_printable_and_few(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_peer_cannot_flood_the_log_with_its_tunnels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def flood() -> None:
        log = TunnelLog()
        for number in range(1000):
            log.opened("mallory", replica=f"r{number}\n", dialled=True)
            log.ended("mallory", why="gone", dialled=True)
            log.refused("mallory", why="no")
            log.unreached("mallory", gateways=[f"m{other}" for other in range(64)])
        log.opened("east", replica="east-0", dialled=True)

    asyncio.run(flood())
    assert 4 <= len(caplog.records) <= 40
    written = " ".join(str(vars(record)) for record in caplog.records)
    assert "leads to its gateways m0, m1" in written
    assert "and 56 more" in written
    assert caplog.records[-1].getMessage() == "tunnel open", "another peer has lines of its own"

"""A gateway's loop over ServiceProbes, under a clock that jumps: when it tries, and what it writes."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from mesh_core.conditions import rfc3339
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.service_probe import Found
from mesh_fakes.member_api import MemberApi
from mesh_fakes.under_way import under_way
from mesh_gateway.service_probing import ServiceProbing
from mesh_gateway.service_try import Outcome
from mesh_runtime.kube import SERVICE_PROBES

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

BEGAN = datetime(2026, 5, 1, tzinfo=UTC)


def now() -> datetime:
    return BEGAN + timedelta(seconds=asyncio.get_running_loop().time())


@dataclass
class Trying:
    """Notes what is tried and when, and finds what a test says."""

    found: Outcome | None = field(default_factory=lambda: Outcome(Found.OK))
    takes: float = 0.0
    tries: list[tuple[str, str, float]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def __call__(self, service: str, *, cluster: str) -> Outcome | None:
        self.tries.append((service, cluster, asyncio.get_running_loop().time()))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.takes)
        self.at_once -= 1
        if self.found is not None and self.found.why == "defect":
            raise KeyError("a defect")
        return self.found


@dataclass
class Scene:
    """One gateway and its API server."""

    api: MemberApi = field(default_factory=MemberApi)
    trying: Trying = field(default_factory=Trying)
    is_ready: bool = True

    def __post_init__(self) -> None:
        self.api.namespace(SYSTEM_NAMESPACE)

    def gateway(self, address: str = "10.0.0.1") -> ServiceProbing:
        return ServiceProbing(
            self.api.client(address),
            address=address,
            trying=self.trying,
            is_ready=lambda: self.is_ready,
            clock=now,
        )

    def ask(self, name: str = "one", *, seconds: float = 3_600.0, service: str = "demo/hello") -> None:
        until = rfc3339(now() + timedelta(seconds=seconds))
        self.api.put(
            SERVICE_PROBES,
            {
                "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE},
                "spec": {"service": service, "cluster": "east", "until": until},
            },
        )

    def results(self, name: str = "one") -> dict[str, str]:
        probe = self.api.find(SERVICE_PROBES, name, namespace=SYSTEM_NAMESPACE)
        assert probe is not None
        return {one.gateway: one.result for one in probe.status.results}


async def test_a_new_probe_is_tried_at_once_and_then_every_few_seconds() -> None:
    here = Scene()
    async with under_way(here.gateway().run()):
        await asyncio.sleep(10)
        asked = asyncio.get_running_loop().time()
        here.ask()
        await asyncio.sleep(60)
    (service, cluster, first), *rest = here.trying.tries
    assert (service, cluster, first) == ("demo/hello", "east", asked)
    assert 10 <= len(rest) <= 13, "its own writes do not wake it"
    assert len(here.api.requests) == len(here.trying.tries), "a write a try"
    assert here.results() == {"10.0.0.1": "OK"}


async def test_each_gateway_says_what_it_finds_and_leaves_what_others_say() -> None:
    here, other = Scene(), Trying(Outcome(Found.UNREACHABLE, "no gateway answers"))
    second = ServiceProbing(
        here.api.client("second"), address="10.0.0.2", trying=other, is_ready=lambda: True, clock=now
    )
    async with under_way(here.gateway().run(), second.run()):
        here.ask()
        await asyncio.sleep(30)
        assert here.results() == {"10.0.0.1": "OK", "10.0.0.2": "Unreachable: no gateway answers"}
        here.trying.found = Outcome(Found.OK_IN_PART, "for parts of west only")
        await asyncio.sleep(10)
        assert here.results()["10.0.0.1"] == "OKInPart: for parts of west only"


async def test_nobody_tries_after_the_end_or_what_is_gone_and_a_later_end_begins_anew() -> None:
    here = Scene()
    async with under_way(here.gateway().run()):
        here.ask(seconds=12)
        await asyncio.sleep(60)
        tried = len(here.trying.tries)
        assert 2 <= tried <= 4
        here.ask(seconds=3_600)
        await asyncio.sleep(2)
        assert len(here.trying.tries) == tried + 1
        here.api.remove(SERVICE_PROBES, "one", namespace=SYSTEM_NAMESPACE)
        await asyncio.sleep(60)
        assert len(here.trying.tries) <= tried + 2


async def test_a_probe_that_goes_while_it_is_tried_ends_nothing() -> None:
    here = Scene(trying=Trying(takes=2.0))
    async with under_way(here.gateway().run()):
        here.ask()
        await asyncio.sleep(1)
        here.api.remove(SERVICE_PROBES, "one", namespace=SYSTEM_NAMESPACE)
        await asyncio.sleep(10)
        here.ask("two")
        await asyncio.sleep(5)
        assert here.results("two") == {"10.0.0.1": "OK"}


async def test_a_gateway_that_could_carry_nothing_says_nothing() -> None:
    here = Scene(is_ready=False)
    async with under_way(here.gateway().run()):
        here.ask()
        await asyncio.sleep(30)
        assert not here.trying.tries
        here.is_ready = True
        await asyncio.sleep(1)
        assert here.results() == {"10.0.0.1": "OK"}
        here.trying.found = None
        await asyncio.sleep(30)
        assert here.results() == {"10.0.0.1": "OK"}, "nothing new is said without routes"


async def test_ways_on_which_nothing_answers_keep_no_other_probe_waiting() -> None:
    here = Scene(trying=Trying(takes=10.0))
    async with under_way(here.gateway().run()):
        for number in range(25):
            here.ask(f"dead-{number}")
        await asyncio.sleep(1)
        here.trying.takes = 0.0
        here.ask("alive", service="demo/alive")
        await asyncio.sleep(0.5)
        assert here.results("alive") == {"10.0.0.1": "OK"}


async def test_so_many_are_tried_at_a_time_and_a_second_at_most() -> None:
    here = Scene(trying=Trying(takes=1.0))
    async with under_way(here.gateway().run()):
        for number in range(400):
            here.ask(f"probe-{number}")
        await asyncio.sleep(120)
        assert here.trying.most_at_once <= 32
        before = len(here.trying.tries)
        await asyncio.sleep(120)
        assert (len(here.trying.tries) - before) / 120 <= 11


async def test_a_defect_of_one_try_ends_nothing() -> None:
    here = Scene(trying=Trying(Outcome(Found.OK, "defect")))
    async with under_way(here.gateway().run()):
        here.ask()
        await asyncio.sleep(8)
        assert here.results() == {"10.0.0.1": "Unproven: a defect of this gateway"}
        here.trying.found = Outcome(Found.OK)
        await asyncio.sleep(10)
        assert here.results() == {"10.0.0.1": "OK"}

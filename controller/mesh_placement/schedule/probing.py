"""Before a decision is carried out: a handshake for each called service, from where the workload is to come.

1. Only what is new is probed: a cluster that has a share already goes on with it. Only calls that leave the
   cluster are: neither an export of its own, nor one that is decided and not there yet (`assumed`).
2. A call is good when as many exporters as it needs answered well within the last `GOOD_FOR` seconds.
   `NotProbed` is an answer too: nobody there can try, so the rows that chose the cluster decide.
3. It is bad when so many cannot be good any more. Of silence the need's `unknown` decides: with Allow it is
   as good as an answer, with Hold and Reject the next cluster is tried.
4. Silence is over after `ANSWER_WITHIN` seconds from when the hub asked, so nothing waits for ever.
5. What is asked at a time is bounded: of a candidate, of a member, and of a cycle. Who finds no place waits
   for those before it, each of which is answered or given up in the time of law 4.

What a handshake said is the word of a member, so only a short line of it is repeated to people.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.calls import Calls, calls_of
from mesh_placement.schedule.network.reach import Way, round_trip
from mesh_placement.schedule.plan import Probe
from mesh_placement.schedule.said import one_line
from mesh_placement.schedule.sharing import Shares
from mesh_placement.schedule.snapshot import Cluster, ProbeResult, Wanted

GOOD_FOR: Final = 10.0
ANSWER_WITHIN: Final = 15.0
"""Seconds. An agent gives its gateways nine and a half before it says that none has tried."""
LONGEST_BACKOFF: Final = 300.0
"""Seconds: to ask again moves nothing."""
MOST_EXPORTERS: Final = 8
"""That are tried for one call, unless it needs more."""
MOST_OF_ONE: Final = 64
MOST_OF_A_MEMBER: Final = 256
MOST_OF_A_CYCLE: Final = 2048
_AGAIN: Final = 2.0
"""Seconds after which who found no place looks for one again."""
_MOST_NAMED: Final = 3

State = Literal["good", "bad", "silent", "asked"]


class Tried(Struct, frozen=True):
    """What handshakes say of a decision: `failed` why, by cluster; `waits` for what; what is to be tried."""

    failed: Mapping[str, str] = {}
    waits: str = ""
    probes: tuple[Probe, ...] = ()
    again: float | None = None


class Asked:
    """What a cycle asks for so far: law 5."""

    def __init__(self) -> None:
        self._all: set[Probe] = set()
        self._of: dict[str, int] = {}

    def takes(self, probes: Sequence[Probe]) -> bool:
        """Whether there was room for all of them; then they are asked for."""
        news = {one for one in probes if one not in self._all}
        each = dict(self._of)
        for one in news:
            each[one.source] = each.get(one.source, 0) + 1
        if len(self._all) + len(news) > MOST_OF_A_CYCLE or max(each.values(), default=0) > MOST_OF_A_MEMBER:
            return False
        self._all |= news
        self._of = each
        return True


def tried(look: Look, wanted: Wanted, shares: Shares, asked: Asked) -> Tried:
    """What is known of the handshakes that `shares` need. Where something failed nothing is asked for."""
    if not look.snapshot.probing or not wanted.spec.require.services:
        return Tried()
    here = {share.cluster for share in wanted.current}
    calls = calls_of(look, wanted)
    found = [_Candidate(look, look.clusters[name], calls) for name in sorted(shares) if name not in here]
    failed = {one.name: one.failure for one in found if one.failure}
    if failed:
        return Tried(failed=failed)
    waiting = [one for one in found if one.waits]
    if not waiting:
        return Tried()
    probes = tuple(probe for one in found for probe in one.probes)
    if not asked.takes(probes):
        return Tried(waits="probing others first", again=look.now + _AGAIN)
    named = _named(sorted({f"{one.service} via {one.via}" for each in waiting for one in each.waits}))
    waits = f"probing {_named([one.name for one in waiting])}: a handshake for {named} is waited for"
    return Tried(waits=waits, probes=probes, again=min(one.until for one in waiting))


class _Candidate:
    """One cluster that is to take something new."""

    def __init__(self, look: Look, cluster: Cluster, calls: Sequence[Calls]) -> None:
        self.name = cluster.name
        self.failure = ""
        self.waits: tuple[Probe, ...] = ()
        self._look = look
        tries = [_vias(one, cluster) for one in calls]
        rest = MOST_OF_ONE
        probes: list[Probe] = []
        for one, (vias, least) in zip(calls, tries, strict=True):
            some = [Probe(cluster.name, one.need.service, via) for via in vias[:rest]]
            rest -= len(some)
            probes += some
            self._judge(one, some, least=min(least, len(some)))
        self.probes = tuple(dict.fromkeys(probes))

    @property
    def until(self) -> float:
        """When silence is over for the first of what is waited for."""
        known = (self._known(one) for one in self.waits)
        return min((self._look.now if one is None else one.at) + ANSWER_WITHIN for one in known)

    def _judge(self, calls: Calls, probes: Sequence[Probe], *, least: int) -> None:
        states = {one: state_of(self._known(one), now=self._look.now) for one in probes}
        good, silent, waiting = (
            [one for one, state in states.items() if state == kind] for kind in ("good", "silent", "asked")
        )
        if calls.need.unknown == "Allow":
            good, silent = good + silent, []
        if len(good) >= least:
            return
        if len(good) + len(waiting) >= least:
            self.waits = (*self.waits, *waiting)
        elif not self.failure:
            bad = [one for one, state in states.items() if state == "bad"]
            self.failure = self._sentence((bad or silent)[0])

    def _sentence(self, probe: Probe) -> str:
        known = self._known(probe)
        is_said = known is not None and state_of(known, now=self._look.now) == "bad"
        said = one_line(known.result) if known is not None and is_said else f"no answer from {self.name}"
        return f"handshake for {probe.service} via {probe.via}: {said}"

    def _known(self, probe: Probe) -> ProbeResult | None:
        return self._look.probes.get((probe.source, probe.service, probe.via))


def state_of(known: ProbeResult | None, *, now: float) -> State:
    """What is known of one handshake; None: it was not asked for yet."""
    if known is None:
        return "asked"
    if not known.result:
        return "asked" if now - known.at < ANSWER_WITHIN else "silent"
    if now - known.at > GOOD_FOR:
        return "silent"
    return "good" if known.result == "OK" or known.result.startswith("NotProbed") else "bad"


def _vias(calls: Calls, cluster: Cluster) -> tuple[list[str], int]:
    """The exporters that are to be tried, the nearest first, and how many of them have to be good."""
    reach, need = calls.reach(cluster), calls.need
    if reach.stays:
        return [], 0
    assumed = {one.cluster for one in calls.table.exporters if one.assumed}
    untried = sum(way.cluster == cluster.name or way.cluster in assumed for way in reach.sure)
    least = need.least - untried
    if least <= 0:
        return [], 0
    ways = reach.sure if need.unknown != "Allow" else (*reach.sure, *reach.unsure)

    def nearest(way: Way) -> tuple[bool, float, str]:
        rtt = round_trip(way.link, need.percentile) if way.link is not None else None
        return rtt is None, rtt or 0.0, way.cluster

    ordered = sorted(ways, key=nearest)
    vias = [way.cluster for way in ordered if way.cluster != cluster.name and way.cluster not in assumed]
    return vias[: max(least, MOST_EXPORTERS)], min(least, len(vias))


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")

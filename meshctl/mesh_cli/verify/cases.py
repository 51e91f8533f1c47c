"""What is verified: calls as wishes, and whether what came of them is as it should be. Pure.

For each pair of clusters, caller and exporter: names, a call, a headless Service, large payloads; and that
a Service that is not exported has no name there, and is refused by the exporter's gateways, as one is that
is not for this caller.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from mesh_cli.table import one_line
from mesh_core.names import CLUSTERSET_ZONE

PORT: Final = 8080
POD: Final = "verify-0"
PATIENCE: Final = 25.0
"""Seconds in which an export must have come to the other cluster, names included."""
DENIED: Final = 1.0
"""Seconds for which a name that must not be there is asked for, when all others have come."""
SMALL: Final = 64
LARGE: Final = (3_000, 1_000_000)

SUITES: Final = ("dns", "connectivity", "headless", "payload", "policy", "disruptive")


class Outcome(Enum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Member:
    """A cluster that takes part; `number` is its place in the order of contexts, of which its Services are
    named."""

    context: str
    cluster: str
    number: int
    image: str = ""

    def service(self, kind: str) -> str:
        """The name of its Service of that kind: `echo`, `pods`, `hidden` or `closed`."""
        return f"{kind}-{self.number}"


@dataclass(frozen=True, slots=True)
class Wish:
    """A call from a pod, as `inside.call` takes it."""

    host: str
    port: int = PORT
    size: int = SMALL
    patience: float = PATIENCE
    times: int = 1

    def as_json(self) -> dict[str, object]:
        """For `inside`."""
        return {one: getattr(self, one) for one in ("host", "port", "size", "patience", "times")}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to try from `caller`: the call, which cluster must answer ("" for nobody: the name must not
    be)."""

    suite: str
    name: str
    caller: Member
    exporter: Member
    wish: Wish
    answers: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A case and what came of it. `why` is "" where it passed."""

    suite: str
    name: str
    outcome: Outcome
    seconds: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """All that was tried, in order. `leftovers` says what could not be removed."""

    namespace: str
    clusters: tuple[str, ...]
    tried: tuple[Tried, ...]
    seconds: float
    leftovers: tuple[str, ...] = ()

    def count(self, outcome: Outcome) -> int:
        """How many came to this."""
        return sum(one.outcome is outcome for one in self.tried)

    @property
    def passed(self) -> bool:
        """Whether nothing failed, something was tried, and nothing is left behind."""
        return not self.count(Outcome.FAILED) and self.count(Outcome.PASSED) > 0 and not self.leftovers


def pairs(members: Sequence[Member]) -> list[tuple[Member, Member]]:
    """(caller, exporter), in both directions."""
    return [(caller, exporter) for caller in members for exporter in members if caller is not exporter]


def cases(members: Sequence[Member], *, namespace: str, suites: Iterable[str]) -> list[Case]:
    """All calls of those suites, by suite, caller and exporter."""
    wanted = set(suites)
    found = [case for pair in pairs(members) for case in _of_pair(*pair, namespace=namespace)]
    return sorted((one for one in found if one.suite in wanted), key=lambda one: SUITES.index(one.suite))


def controls(members: Sequence[Member], *, namespace: str) -> dict[tuple[Member, Member], Case]:
    """For each pair the call that must be answered before silence of others says anything."""
    calls = cases(members, namespace=namespace, suites=("connectivity",))
    return {(case.caller, case.exporter): case for case in calls}


def believed(found: Tried, *, control: Tried) -> Tried:
    """What came of a case in which nobody may answer: where nobody answers at all, it has shown nothing."""
    if found.outcome is not Outcome.PASSED or control.outcome is Outcome.PASSED:
        return found
    why = f"nobody answers, and what is exported does not either: {control.why}"
    return Tried(found.suite, found.name, Outcome.FAILED, found.seconds, why)


def _of_pair(caller: Member, exporter: Member, *, namespace: str) -> Iterable[Case]:
    def case(suite: str, name: str, wish: Wish, answers: str = exporter.cluster) -> Case:
        title = f"{name}, {caller.cluster} from {exporter.cluster}"
        return Case(suite, title, caller, exporter, wish, answers)

    def host(kind: str) -> str:
        return f"{exporter.service(kind)}.{namespace}.svc.{CLUSTERSET_ZONE}"

    yield case("dns", "the name resolves", Wish(host("echo"), port=0))
    yield case("connectivity", "a call is answered", Wish(host("echo")))
    yield case("headless", "a call to a headless Service is answered", Wish(host("pods")))
    pod = f"{POD}.{exporter.cluster}.{host('pods')}"
    yield case("headless", "a call to a pod by its name is answered", Wish(pod))
    for size in LARGE:
        yield case("payload", f"{size} bytes come back whole", Wish(host("echo"), size=size))
    denied = Wish(host("hidden"), port=0, patience=DENIED)
    yield case("policy", "a Service that is not exported has no name", denied, "")
    denied = Wish(host("closed"), patience=DENIED)
    yield case("policy", "a Service that is for another cluster does not answer", denied, "")


def judged(case: Case, answer: Mapping[str, Any]) -> Tried:  # Any: JSON of a pod of ours, read at once
    """What the answer of `inside.call` comes to."""
    error, seconds = one_line(str(answer.get("error", ""))), _number(answer.get("seconds"))
    listed, who = answer.get("addresses"), str(answer.get("cluster", ""))
    addresses = [str(one) for one in listed] if isinstance(listed, list) else []
    if not case.answers:
        if error:
            return Tried(case.suite, case.name, Outcome.PASSED, seconds)
        shown = one_line(who or ", ".join(addresses))
        return _failed(case, seconds, f"{case.wish.host} answers ({shown}), and should not")
    if error:
        return _failed(case, seconds, f"{case.wish.host}: {error}; next: {_advice(case)}")
    if case.wish.port == 0:
        resolved = bool(addresses)
        return (
            Tried(case.suite, case.name, Outcome.PASSED, seconds)
            if resolved
            else _failed(case, seconds, "no address")
        )
    if who != case.answers:
        return _failed(case, seconds, f"{one_line(who) or 'nobody'} answered, not {case.answers}")
    return Tried(case.suite, case.name, Outcome.PASSED, seconds)


def refused(caller: Member, exporter: Member, *, words: Sequence[str], service: str, wanted: str) -> Tried:
    """What gateways of the caller said of a Service that they must not reach: every one must say `wanted`."""
    name = f"the gateways of {exporter.cluster} refuse {caller.cluster} {service}"
    said = [one_line(word.partition(":")[0]) for word in words]
    if not said:
        return Tried("policy", name, Outcome.SKIPPED, why="no gateway said what it found")
    if all(word == wanted for word in said):
        return Tried("policy", name, Outcome.PASSED)
    return Tried("policy", name, Outcome.FAILED, why=f"they say {', '.join(said)}, not {wanted}")


def _failed(case: Case, seconds: float, why: str) -> Tried:
    return Tried(case.suite, case.name, Outcome.FAILED, seconds, why)


def _advice(case: Case) -> str:
    service, _, rest = case.wish.host.removesuffix(f".svc.{CLUSTERSET_ZONE}").rpartition(".")
    name = service.rpartition(".")[2]
    return (
        f"run it with --keep, then meshctl trace {name}.{rest} --from-context {case.caller.context} "
        f"--context {case.exporter.context}"
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0

"""A hop of a call's way: who decides it, what was seen, how it stands. Values. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How a hop stands."""

    OK = "ok"
    FAIL = "fail"
    FOLLOWS = "follows"
    """It does not work because a hop further on does not."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Source:
    """An object that decides something; `since` is its age or that of its condition (RFC 3339)."""

    kind: str
    name: str
    since: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """`cluster` is where it is; `via` the exporter that it is on the way to, "" for all. `probe` is what a
    live probe said, "" where none was made. `next_step` is empty where nothing need be done."""

    title: str
    cluster: str
    state: State
    decides: str
    seen: str
    sources: tuple[Source, ...] = ()
    via: str = ""
    probe: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All hops in the order of the way, numbered from 1, and what they come to.

    `failing` is the number of the hop at which a call fails, None where none was seen to; `goes` says that
    calls get there. Both may hold: of several exporters one may fail.
    """

    hops: tuple[Hop, ...]
    failing: int | None
    goes: bool

    @property
    def works(self) -> bool:
        """Whether every hop was seen to work."""
        return all(hop.state is State.OK for hop in self.hops)

    @property
    def line(self) -> str:
        """One line that says it all."""
        unknown = [str(n) for n, hop in enumerate(self.hops, 1) if hop.state is State.UNKNOWN]
        if self.failing is not None:
            hop = self.hops[self.failing - 1]
            whose = f" of {hop.via}" if hop.via else f" in {hop.cluster}"
            head = "calls go, but one exporter" if self.goes else "it"
            return (
                f"{head} fails at hop {self.failing}, {hop.title}{whose}: {hop.seen}; next: {hop.next_step}"
            )
        if unknown:
            said = f"nothing was seen to fail; not looked at: {_hops(unknown)}"
            return f"calls go; {said}" if self.goes else said
        return "every hop works"


def verdict_of(hops: Sequence[Hop]) -> Verdict:
    """What they come to: the first that fails by itself, or where all that fail only follow, the first of
    those.

    Where the call itself got through, an exporter whose hops do not fail carries it.
    """
    shared = any(hop.state is State.FAIL and not hop.via for hop in hops)
    goes = bool(hops) and hops[-1].state is State.OK and not shared
    failed = [number for number, hop in enumerate(hops, 1) if hop.state is State.FAIL]
    followed = [number for number, hop in enumerate(hops, 1) if hop.state is State.FOLLOWS]
    return Verdict(tuple(hops), next(iter(failed or followed), None), goes)


def _hops(numbers: Sequence[str]) -> str:
    return f"hop{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"

"""The clusterset as one picture: clusters, links between them, services. Values only; `drawing` makes them.

1. Everything has one order: clusters and services by name, links by the names of their ends.
2. Every text is one short line of printable characters, whoever wrote it.
"""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How something is, best first."""

    FINE = "fine"
    STALE = "stale"
    TROUBLED = "troubled"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster that was asked, or one that is a peer of such a one; `context` is "" when it was not asked.

    `ready` of `wanted` pods of our programs run. `note` says what is not as it should be.
    """

    name: str
    context: str
    state: State
    domain: str
    version: str
    ready: int
    wanted: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A link as one of its clusters sees it.

    `heard` is how many seconds ago the other one was heard, None for never; traffic is None where no gateway
    told it. `rtt` is in seconds, of the gateway that is worst off.
    """

    cluster: str
    state: State
    reason: str
    message: str
    heard: float | None
    exports: int
    tunnels: int | None
    rtt: float | None
    streams: int | None
    sent: int | None
    received: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Two clusters that are peers, `first` < `second`, and what each that was asked says of it.

    Bytes count since the gateways' pods started; the rates are bytes a second, None before there are two
    surveys to compare.
    """

    first: str
    second: str
    state: State
    ends: tuple[End, ...]
    rtt: float | None
    streams: int | None
    forth: int | None
    back: int | None
    forth_rate: float | None = None
    back_rate: float | None = None

    @property
    def note(self) -> str:
        """What the ends say that is not as it should be."""
        told = [f"{one.cluster}: {one.message or one.reason}" for one in self.ends if one.state != State.FINE]
        return "; ".join(told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of the clusterset; `conflict` and `trouble` are "" where there is none."""

    namespace: str
    name: str
    type: str
    ports: tuple[str, ...]
    exporters: tuple[str, ...]
    importers: tuple[str, ...]
    conflict: str
    trouble: str

    @property
    def title(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def state(self) -> State:
        if self.trouble:
            return State.DOWN
        return State.TROUBLED if self.conflict else State.FINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All of it, as it was `at` (RFC 3339)."""

    at: str
    clusters: tuple[Cluster, ...]
    links: tuple[Link, ...]
    services: tuple[Service, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every cluster that was asked has answered."""
        return not any(one.context and one.state is State.DOWN for one in self.clusters)

    @property
    def title(self) -> str:
        """One line that says how many there are, and how many of them want somebody to look."""
        return ", ".join(
            [
                _counted(len(self.clusters), "cluster", [one.state for one in self.clusters]),
                _counted(len(self.links), "link", [one.state for one in self.links]),
                _counted(len(self.services), "service", [one.state for one in self.services]),
            ]
        )


def in_print(text: str, *, most: int = 300) -> str:
    """One line of at most `most` characters, all of them printable: others would be no XML, or would hide
    or turn what stands beside them."""
    line = " ".join(text[: 4 * most].split())
    shown = "".join(one if one.isprintable() else "\ufffd" for one in line)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _counted(count: int, noun: str, states: list[State]) -> str:
    words = [f"{count} {noun}{'' if count == 1 else 's'}"]
    bad = [
        f"{states.count(state)} {state.value}"
        for state in State
        if state is not State.FINE and state in states
    ]
    return f"{words[0]} ({', '.join(bad)})" if bad else words[0]

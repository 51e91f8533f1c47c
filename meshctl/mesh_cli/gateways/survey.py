"""What `meshctl gateways` found: values, and how a gateway's page of metrics is read into them.

A page comes from a pod that may be anything: it reads as a whole, or raises UnreadablePage. Names that this
version does not know are skipped, and those that a page does not have count as nought. Numbers of several
workers (label `worker`) are added up; what all of them have alike, such as routes, counts once.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from mesh_cli.status.survey import NotSeen
from mesh_core.errors import EnvironmentFault

_PREFIX = "meshctl_gateway_"


class UnreadablePage(EnvironmentFault):
    """A gateway's metrics are not what they should be."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"its metrics cannot be read ({why})", next_step="use the meshctl of the gateway's version"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTraffic:
    """A gateway and one peer; `rtt` and `handshake` are medians in seconds, None where none was measured.

    `to_peer` and `from_peer` are streams that go on, by who opened them; `opened` are all there ever were.
    """

    peer: str
    tunnels: int
    rtt: float | None
    handshake: float | None
    to_peer: int
    from_peer: int
    opened: int
    sent: int
    received: int


@dataclass(frozen=True, slots=True)
class Refused:
    """How often one part of a gateway refused something for one reason."""

    where: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a gateway says of itself; `table_age` is in seconds, None before the first table."""

    version: str
    connections: int
    waiting_bytes: int
    egress_ports: int
    ingress_names: int
    table_age: float | None
    peers: tuple[PeerTraffic, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySeen:
    """A gateway's pod: its figures, or in one sentence why there are none."""

    pod: str
    ready: bool
    figures: Figures | str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterGateways:
    """The gateways of a cluster, by name; `cluster` is "" when it is no member."""

    context: str
    cluster: str
    gateways: tuple[GatewaySeen, ...]


@dataclass(frozen=True, slots=True)
class GatewaySurvey:
    """All clusters asked, in the order in which they were named."""

    clusters: tuple[ClusterGateways | NotSeen, ...]

    @property
    def is_whole(self) -> bool:
        """Whether there is a gateway in every cluster, and every one has answered."""
        return all(
            isinstance(one, ClusterGateways)
            and one.gateways
            and all(isinstance(gateway.figures, Figures) for gateway in one.gateways)
            for one in self.clusters
        )


def figures_of(page: bytes) -> Figures:
    """A page in Prometheus's text format. Raises UnreadablePage."""
    try:
        return _figures(_Page(page.decode()))
    except (ValueError, OverflowError) as error:
        raise UnreadablePage(str(error)[:200] or type(error).__name__) from error


Labels = Mapping[str, str]


class _Page:
    """Samples by their names and peers ("" for none), ours only."""

    def __init__(self, text: str) -> None:
        self.peers: set[str] = set()
        self._samples: dict[tuple[str, str], list[tuple[Labels, float]]] = {}
        for family in text_string_to_metric_families(text):
            if not family.name.startswith(_PREFIX):
                continue
            for sample in family.samples:
                if not math.isfinite(sample.value) or not all(map(str.isprintable, sample.labels.values())):
                    raise ValueError(f"no proper sample of {family.name}")
                peer = sample.labels.get("peer", "")
                self.peers |= {peer} - {""}
                key = sample.name.removeprefix(_PREFIX), peer
                self._samples.setdefault(key, []).append((sample.labels, sample.value))

    def of(self, name: str, *, peer: str = "") -> list[tuple[Labels, float]]:
        """The samples of `name`, of a peer if it has such a label."""
        return self._samples.get((name, peer), [])

    def most(self, name: str) -> int:
        """The greatest of their values."""
        return int(max((value for _, value in self.of(name)), default=0.0))

    def sum(self, name: str, *, peer: str = "", direction: str | None = None) -> int:
        """Their values together, of one direction if one is named."""
        found = self.of(name, peer=peer)
        return int(sum(value for labels, value in found if direction in (None, labels.get("direction"))))


def _figures(page: _Page) -> Figures:
    ages = [value for _, value in page.of("table_age_seconds")]
    return Figures(
        version=next((labels.get("version", "") for labels, _ in page.of("build_info")), ""),
        connections=page.sum("connections"),
        waiting_bytes=page.sum("waiting_bytes"),
        egress_ports=page.most("egress_ports"),
        ingress_names=page.most("ingress_names"),
        table_age=max(ages, default=None),
        peers=tuple(_peer(page, peer=name) for name in sorted(page.peers)),
        refused=tuple(_refused(page)),
    )


def _peer(page: _Page, *, peer: str) -> PeerTraffic:
    return PeerTraffic(
        peer=peer,
        tunnels=page.sum("tunnels", peer=peer),
        rtt=_median(page.of("rtt_seconds_bucket", peer=peer)),
        handshake=_median(page.of("handshake_seconds_bucket", peer=peer)),
        to_peer=page.sum("streams_active", peer=peer, direction="to_peer"),
        from_peer=page.sum("streams_active", peer=peer, direction="from_peer"),
        opened=page.sum("streams_opened_total", peer=peer),
        sent=page.sum("sent_bytes_total", peer=peer),
        received=page.sum("received_bytes_total", peer=peer),
    )


def _refused(page: _Page) -> Iterable[Refused]:
    """The most frequent first."""
    counts: dict[tuple[str, str], float] = {}
    for labels, value in page.of("refusals_total"):
        key = labels.get("where", ""), labels.get("reason", "")
        counts[key] = counts.get(key, 0.0) + value
    found = [Refused(where=where, reason=reason, count=int(n)) for (where, reason), n in counts.items() if n]
    return sorted(found, key=lambda one: (-one.count, one.where, one.reason))


def _median(samples: Iterable[tuple[Labels, float]]) -> float | None:
    buckets: dict[float, float] = {}
    for labels, value in samples:
        bound = float(labels.get("le", "nan"))
        buckets[bound] = buckets.get(bound, 0.0) + value
    return median_of(sorted(buckets.items()))


def median_of(buckets: Sequence[tuple[float, float]]) -> float | None:
    """The median of a histogram, from (upper bound, how many are not above it), in order of the bounds.

    As PromQL's `histogram_quantile`: within its bucket the values are taken to be spread evenly, and beyond
    the last finite bound it is that bound. None when there are no values.
    """
    if not buckets or buckets[-1][1] <= 0:
        return None
    middle = buckets[-1][1] / 2
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= middle:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (middle - below) / (count - below)
        low, below = bound, count
    return low

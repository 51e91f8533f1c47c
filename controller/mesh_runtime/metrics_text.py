"""A program's numbers as Prometheus reads them (text format 0.0.4); docs/metrics.md lists them all.

1. A page is made anew for each scrape, in a registry of its own: no state of prometheus_client is shared.
2. Names, labels and their values are a promise, as the JSON of `meshctl` is: only ever added to.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector


def metrics_text(collect: Callable[[], Iterable[Metric]]) -> bytes:
    """The page: what `collect` gives, then the numbers of the process (CPU, memory, open files).

    A thread may make it while the loop counts on, so `collect` must not walk a dict that grows.
    """
    registry = CollectorRegistry()
    registry.register(_Program(collect))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Program(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        """Called by the registry."""
        return self._collect()


@dataclass(frozen=True, slots=True)
class Families:
    """Makes metrics of one program, whose names all begin with `prefix`."""

    prefix: str

    def counter(self, name: str, meaning: str, *labels: str) -> CounterMetricFamily:
        """What only grows; its name is shown with `_total` behind it."""
        return CounterMetricFamily(self.prefix + name, meaning, labels=labels)

    def gauge(self, name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
        """What grows and shrinks."""
        return GaugeMetricFamily(self.prefix + name, meaning, labels=labels)

    def gauges(self, table: Iterable[tuple[str, str, float]]) -> Iterable[Metric]:
        """One gauge without labels for each (name, meaning, value)."""
        for name, meaning, value in table:
            gauge = self.gauge(name, meaning)
            gauge.add_metric([], value)
            yield gauge

    def build(self) -> Metric:
        """Which version runs."""
        info = InfoMetricFamily(self.prefix + "build", "What runs.")
        info.add_metric([], {"version": our_version()})
        return info


@cache
def our_version() -> str:
    """The version that is installed, or where none is, a word for that."""
    try:
        return version("clusterset-mesh")
    except PackageNotFoundError:
        return "unknown"

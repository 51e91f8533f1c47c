"""What became of the Events of this process, as a part of the controller's page; docs/metrics.md lists it."""

from collections.abc import Iterable
from typing import Final

from prometheus_client.metrics_core import Metric

from mesh_controller.event_teller import EventCounts
from mesh_runtime.metrics_text import Families

_FAMILIES: Final = Families("meshctl_controller_")


def event_metrics(counts: EventCounts) -> Iterable[Metric]:
    """All of it."""
    written = _FAMILIES.counter("events_written", "Events that were written for the first time.", "type")
    repeated = _FAMILIES.counter("events_repeated", "Events that were there and were counted on.", "type")
    for family, counted in ((written, counts.written), (repeated, counts.repeated)):
        for kind, number in sorted(counted.items()):
            family.add_metric([kind], number)
        yield family
    dropped = _FAMILIES.counter("events_dropped", "Events that were not written, and why.", "reason")
    for why, number in counts.dropped.items():
        dropped.add_metric([why.value], number)
    yield dropped

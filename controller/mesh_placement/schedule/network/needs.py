"""What a placement asks of the network, read once: full names of services, round trips in milliseconds."""

import re

from msgspec import Struct

from mesh_placement.objects.placing import Exposure, Percentile, ServiceNeed, UnknownLink
from mesh_placement.schedule.snapshot import Wanted

_FORM = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m)")
_IN_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Need(Struct, frozen=True):
    """A service that is called; `budget` None: however far."""

    service: str
    budget: float | None
    percentile: Percentile
    least: int
    weight: int
    unknown: UnknownLink


def needs_of(wanted: Wanted) -> tuple[Need, ...]:
    """The services that the placement calls, in its own order."""
    return tuple(_need(one, wanted) for one in wanted.spec.require.services)


def needed_service(need: ServiceNeed, *, namespace: str) -> str:
    """The full name of the service, for a placement in `namespace`."""
    return f"{need.namespace or namespace}/{need.name}"


def exposed_service(exposure: Exposure, *, namespace: str) -> str:
    """The full name of the service that is brought."""
    return f"{exposure.namespace or namespace}/{exposure.service}"


def budget_of(text: str) -> float | None:
    """Milliseconds; None for "", which bounds nothing.

    A text that is no time is 0: nothing is near enough, and the report shows the text. The API server refuses
    such a text; to take it for no bound would place workloads where they were not to be.
    """
    if not text:
        return None
    match = _FORM.fullmatch(text)
    return float(match[1]) * _IN_MILLISECONDS[match[2]] if match else 0.0


def short(service: str, wanted: Wanted) -> str:
    """The service as the user names it: without the placement's own namespace."""
    return service.removeprefix(f"{wanted.namespace}/")


def milliseconds(number: float) -> str:
    """As reports show it: two digits more below 1, where round trips within a data centre are."""
    return f"{number:.1f} ms" if number >= 1 or not number else f"{number:.3f} ms"


def _need(one: ServiceNeed, wanted: Wanted) -> Need:
    return Need(
        service=needed_service(one, namespace=wanted.namespace),
        budget=budget_of(one.max_rtt),
        percentile=one.percentile,
        least=max(1, one.min_exporters),
        weight=max(0, one.weight),
        unknown=one.unknown,
    )

"""events.k8s.io/v1 Event, as far as what the API server answers is read."""

from msgspec import Struct

from mesh_core.objects.meta import KubernetesObject


class EventSeries(Struct, frozen=True, rename="camel", kw_only=True):
    """How often the same was said, the first time included."""

    count: int = 0


class Event(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """What was said of an object; `series` is None while it was said once."""

    series: EventSeries | None = None

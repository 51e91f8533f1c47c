"""News as Events (events.k8s.io/v1): their names, their words within the API's bounds, their bodies.

1. The same said of the same object is the same Event: its name follows from both. So whoever says it again,
   a sibling or this program after a new start, finds it there and counts on (`series`).
2. Words may come from another cluster: an Event holds one line of printable characters, at most `LONGEST`
   bytes of UTF-8. What is cut out lies before the end, which says what to do.
3. An Event about an object without a namespace is in `default`, as the API server demands.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from mesh_core.news import News, Observed
from mesh_core.plan import Json

LONGEST: Final = 1024
"""Bytes: the API server refuses a longer note."""
REPORTER: Final = "meshctl.dev/controller"
_GAP: Final = " ... "
_END: Final = 256
_LONGEST_NAME: Final = 200
_LONGEST_INSTANCE: Final = 128
_REASON: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,127}")
_APIS: Final = {
    "ServiceExport": "multicluster.x-k8s.io/v1beta1",
    "ServiceImport": "multicluster.x-k8s.io/v1beta1",
    "MeshPeer": "meshctl.dev/v1alpha1",
    "TrustBundle": "meshctl.dev/v1alpha1",
}


@dataclass(frozen=True, slots=True)
class Regarding:
    """The object that an Event is about."""

    kind: str
    namespace: str
    name: str
    uid: str

    @property
    def event_namespace(self) -> str:
        """Law 3."""
        return self.namespace or "default"


def regarding(seen: Observed) -> Regarding:
    """What an Event about `seen` refers to."""
    meta = seen.metadata
    return Regarding(type(seen).__name__, meta.namespace, meta.name, meta.uid)


def event_body(about: Regarding, *, news: News, instance: str, now: datetime) -> Json:
    """The Event that says it for the first time, at `now`; `instance` is who says it."""
    said = {
        "type": "Warning" if news.is_warning else "Normal",
        "reason": _reason(news),
        "note": one_note(news.words),
        "action": news.what,
    }
    refers: Json = {"apiVersion": _APIS[about.kind], "kind": about.kind, "name": about.name, "uid": about.uid}
    if about.namespace:
        refers["namespace"] = about.namespace
    name = _name(about, said=said)
    return {
        "metadata": {"namespace": about.event_namespace, "name": name},
        "eventTime": _micro_time(now),
        "reportingController": REPORTER,
        "reportingInstance": instance[:_LONGEST_INSTANCE] or REPORTER,
        "regarding": refers,
        **said,
    }


def series_body(*, version: str, count: int, now: datetime) -> Json:
    """The patch of an Event that is said for the `count`th time, if it is still as `version` shows it."""
    series = {"count": count, "lastObservedTime": _micro_time(now)}
    return {"metadata": {"resourceVersion": version}, "series": series}


def one_note(words: str) -> str:
    """One printable line of at most `LONGEST` bytes."""
    # Beyond so many characters nothing is looked at: the end, too, is found without reading them all.
    if len(words) > 2 * LONGEST:
        words = words[:LONGEST] + _GAP + words[-LONGEST:]
    line = "".join(one if one.isprintable() else _escaped(one) for one in words) or "-"
    if len(line.encode()) <= LONGEST:
        return line
    end = _last_bytes(line, most=_END)
    end = end[end.find("; ") + 2 :] if "; " in end else end
    return _first_bytes(line, most=LONGEST - len(_GAP) - len(end.encode())) + _GAP + end


def _escaped(one: str) -> str:
    return f"\\u{ord(one):04x}" if ord(one) < 0x10000 else f"\\U{ord(one):08x}"


def _first_bytes(line: str, *, most: int) -> str:
    return line.encode()[:most].decode(errors="ignore")


def _last_bytes(line: str, *, most: int) -> str:
    return line.encode()[-most:].decode(errors="ignore")


def _reason(news: News) -> str:
    """The first of the condition's reasons; a condition's may be several, with commas between."""
    first = news.reason.partition(",")[0]
    return first if _REASON.fullmatch(first) else news.what


def _name(about: Regarding, *, said: dict[str, Any]) -> str:  # Any: JSON
    parts = (about.kind, about.namespace, about.name, about.uid, *(str(said[key]) for key in sorted(said)))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    return f"{about.name[:_LONGEST_NAME].rstrip('.-')}.{digest}"


def _micro_time(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

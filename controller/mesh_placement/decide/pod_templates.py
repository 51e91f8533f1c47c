"""Where a manifest has its pods, and how manifests are read: what is not as it should be reads as not there.

Judging a manifest is the API server's.
"""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]
"""JSON out of a manifest: its values are whatever JSON has, hence Any."""


def pod_template(manifest: Json, *, kind: str) -> Json:
    """The pod, or the template of pods, that is in a manifest: `metadata` and `spec`; empty where none is.

    A custom resource has it where a Deployment has it.
    """
    match kind:
        case "Pod":
            return manifest
        case "CronJob":
            return at(manifest, "spec", "jobTemplate", "spec", "template")
        case _:
            return at(manifest, "spec", "template")


def pod_spec(manifest: Json, *, kind: str) -> Json:
    """PodSpec of what the manifest starts; empty where it starts no pods."""
    return at(pod_template(manifest, kind=kind), "spec")


def at(place: Json, *path: str) -> Json:
    """The object there, or an empty one where it is none."""
    for part in path:
        below = place.get(part)
        if not isinstance(below, Mapping):
            return {}
        place = below
    return place


def items(place: Json, key: str) -> list[Json]:
    """The objects of the list there."""
    found = place.get(key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def text(place: Json, key: str) -> str:
    """The text there, or ""."""
    found = place.get(key)
    return found if isinstance(found, str) else ""

"""Checks of versions: of Kubernetes, and of our own programs. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from mesh_cli.check.findings import Findings
from mesh_cli.check.verdict import Observed, Unseen, fail, ok, seen, unknown, warn
from mesh_core.names import SYSTEM_NAMESPACE

LEAST: Final = (1, 28)
"""The oldest Kubernetes in which all is served that our programs ask for."""
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)")


def kubernetes(findings: Findings) -> Iterator[Observed]:
    """MESH-API-006."""
    said = seen(findings.version)
    found = _VERSION.match(said)
    if found is None:
        yield unknown("Kubernetes", seen=f"says it is {said!r}", next_step="look at kubectl version")
    elif (int(found[1]), int(found[2])) < LEAST:
        least = ".".join(map(str, LEAST))
        yield fail("Kubernetes", seen=f"is {said}, older than {least}", next_step=f"upgrade it to {least}")
    else:
        yield ok("Kubernetes", seen=f"is {said}")


def programs(findings: Findings) -> Iterator[Observed]:
    """MESH-GW-007."""
    pods = [pod for pod in seen(findings.pods) if pod.image]
    images = sorted({pod.image for pod in pods})
    wait = "wait until the roll-out is over; if it does not end, see MESH-GW-001 and MESH-GW-002"
    if not pods:
        advice = f"kubectl -n {SYSTEM_NAMESPACE} get pods"
        yield unknown("our pods", seen="no pod of ours has started", next_step=advice)
    elif len(images) > 1:
        yield warn("our pods", seen=f"run {len(images)} images: {', '.join(images)}", next_step=wait)
    else:
        yield ok("our pods", seen=f"all {len(pods)} run {images[0]}")
    for context, other in sorted(findings.others.items()):
        if isinstance(other.pods, Unseen) or not images:
            continue
        theirs = {_tag(pod.image) for pod in other.pods if pod.image}
        if theirs and theirs != {_tag(one) for one in images}:
            yield warn(
                context,
                seen=f"runs {', '.join(sorted(theirs))}, this cluster {', '.join(map(_tag, images))}",
                next_step="upgrade the older one: neighbours may be one minor version apart",
            )


def _tag(image: str) -> str:
    """What comes after the name: "0.1.0" of "meshctl.dev/clusterset-mesh:0.1.0"."""
    name = image.rpartition("/")[2]
    return name.partition("@")[0].partition(":")[2] or name

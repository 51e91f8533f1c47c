"""How many requests an API server has answered, from its own counter. Reading is pure."""

import re
from collections import Counter
from collections.abc import Mapping

from mesh_runtime.kube import KubeClient

WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})
Written = tuple[str, str, str, int]
"""(verb, resource, subresource, status) of a request."""

_LINE = re.compile(r"apiserver_request_total\{([^}]*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


async def writes(kube: KubeClient) -> Counter[Written]:
    """Every request so far that changes something, whoever made it."""
    return written((await kube.request("GET", "/metrics")).decode())


async def answered_by(kube: KubeClient) -> Counter[Written]:
    """Every request so far of every kind, but for reads of this very counter and what has no resource."""
    found = answered((await kube.request("GET", "/metrics")).decode())
    return Counter({key: count for key, count in found.items() if key[1]})


def written(metrics: str) -> Counter[Written]:
    """The writes in a scrape of /metrics."""
    return Counter({key: count for key, count in answered(metrics).items() if key[0] in WRITES})


def answered(metrics: str) -> Counter[Written]:
    """All requests in a scrape of /metrics; a watch counts when it ends."""
    found: Counter[Written] = Counter()
    for labels_text, value in _LINE.findall(metrics):
        labels = dict(_LABEL.findall(labels_text))
        if "verb" in labels:
            key = (labels["verb"], labels["resource"], labels["subresource"], int(labels["code"]))
            found[key] += int(float(value))
    return found


def since(before: Mapping[Written, int], after: Mapping[Written, int]) -> dict[str, int]:
    """What came in between, by "VERB resource/subresource status"; in order of their number."""
    gone = {key: count - before.get(key, 0) for key, count in after.items()}
    named = {
        f"{verb} {resource}{'/' if part else ''}{part} {status}": count
        for (verb, resource, part, status), count in gone.items()
        if count
    }
    return dict(sorted(named.items(), key=lambda item: (-item[1], item[0])))

"""What the proxy says by itself: metav1.Status for a refusal, and the documents of its API group."""

from http.client import responses
from typing import Final

import msgspec

from mesh_placement.access.heads import written
from mesh_placement.decide.access_path import ACCESS_VERSION, GROUP_VERSION_PATH
from mesh_placement.names import ACCESS_GROUP

_GROUP_VERSION: Final = f"{ACCESS_GROUP}/{ACCESS_VERSION}"
_VERSION: Final = {"groupVersion": _GROUP_VERSION, "version": ACCESS_VERSION}
_GROUP: Final = {"name": ACCESS_GROUP, "versions": [_VERSION], "preferredVersion": _VERSION}
# Without a verb of its own: it is there so that `kubectl create clusterrole --resource` knows the name.
_CLUSTERS: Final[dict[str, object]] = {
    "name": "clusters",
    "singularName": "cluster",
    "namespaced": False,
    "kind": "Cluster",
    "verbs": [],
}
_PROXY: Final = {
    "name": "clusters/proxy",
    "singularName": "",
    "namespaced": False,
    "kind": "ClusterProxyOptions",
    "verbs": ["create", "delete", "get", "patch", "update"],
}
DOCUMENTS: Final = {
    path: msgspec.json.encode(document)
    for path, document in {
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_GROUP]},
        f"/apis/{ACCESS_GROUP}": {"kind": "APIGroup", "apiVersion": "v1", **_GROUP},
        GROUP_VERSION_PATH: {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": _GROUP_VERSION,
            "resources": [_CLUSTERS, _PROXY],
        },
    }.items()
}
"""What the hub's aggregation layer, and through it kubectl, wants to know of our group, by path."""


def answer(
    status: int,
    body: bytes,
    *,
    keeps: bool,
    more: tuple[tuple[str, str], ...] = (),
    media: str = "application/json",
) -> bytes:
    """A whole answer."""
    fields = (
        ("Content-Type", media),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        *more,
        *(() if keeps else (("Connection", "close"),)),
    )
    return written(f"HTTP/1.1 {status} {responses.get(status, '')}", fields) + body


def refusal(status: int, reason: str, message: str, *, keeps: bool, discovers: bool = False) -> bytes:
    """A whole answer that says no, as an API server says it (metav1.Status).

    `discovers`: to somebody who asks for the list of all resources. What kubectl asks first is that, and of a
    refusal it shows text only, so it gets the bare sentence.
    """
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": status,
    }
    more = (("WWW-Authenticate", 'Bearer realm="meshctl"'),) if status == 401 else ()
    if status in (429, 503):
        more = (("Retry-After", "2"),)
    if discovers:
        return answer(status, message.encode(), keeps=keeps, more=more, media="text/plain; charset=utf-8")
    return answer(status, msgspec.json.encode(body), keeps=keeps, more=more)

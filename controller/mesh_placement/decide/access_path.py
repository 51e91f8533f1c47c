"""What a request to the access proxy is about: a member's API, or the proxy's own documents.

    /clusters/<cluster id>/<path in the member>
    /apis/access.meshctl.dev/v1alpha1/clusters/<cluster id>/proxy/<path in the member>

The second is how the hub's aggregation layer hands it on. A cluster id is compared as it stands: one that is
written with escapes is none of ours. What follows it is the member's affair and is not looked at, so no `..`
in it leads to another member.
"""

import re
from dataclasses import dataclass

from mesh_placement.names import ACCESS_GROUP

ACCESS_VERSION = "v1alpha1"
GROUP_VERSION_PATH = f"/apis/{ACCESS_GROUP}/{ACCESS_VERSION}"

_PLAIN = re.compile(r"/clusters/([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)(?=[/?]|$)")
_AGGREGATED = re.compile(
    re.escape(GROUP_VERSION_PATH) + r"/clusters/([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)/proxy(?=[/?]|$)"
)
# As the API server itself tells long-running requests from others.
_STREAMS = frozenset({"watch", "log", "exec", "attach", "portforward", "proxy"})
_WAITS = re.compile(r"(^|&)(watch|follow)=(?!0|false)")
_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "OPTIONS": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}


@dataclass(frozen=True, slots=True)
class Proxied:
    """`path` in the API of `cluster`, with its query; `prefix` is what was cut off before it."""

    cluster: str
    path: str
    prefix: str

    @property
    def may_be_silent(self) -> bool:
        """Whether its answer may begin whenever something happens: a watch, or a log that is followed."""
        path, _, query = self.path.partition("?")
        words = path.split("/")
        return bool(_STREAMS.intersection(words) or _WAITS.search(query))


def proxied(target: str) -> Proxied | None:
    """The member that a request target leads to, or None."""
    found = _PLAIN.match(target) or _AGGREGATED.match(target)
    if found is None:
        return None
    rest = target[found.end() :]
    return Proxied(found[1], rest if rest.startswith("/") else f"/{rest}", found[0])


def verb_of(method: str, *, upgrade: bool) -> str:
    """The verb on `clusters/proxy` that a request needs; "" for a method that nobody may use.

    What becomes a stream (exec, port-forward) needs `create`, whatever its method: who may only `get` reads.
    """
    verb = _VERBS.get(method, "")
    return "create" if upgrade and verb else verb

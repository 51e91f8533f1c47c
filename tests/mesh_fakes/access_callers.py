"""Who asks for a member through the access proxy in live tests, and what they may there."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from mesh_fakes.access_scene import MEMBER, AccessScene, access_between
from mesh_fakes.bed import Bed

PASSERS = "test:passers"
"""Group that the hub lets through."""
_PASSES = "test-passes"
_WORKS = "test-works"


@asynccontextmanager
async def scene_of(bed: Bed) -> AsyncIterator[AccessScene]:
    """The proxy, and the rights of those who ask: on the hub to come through, on the member to do things."""
    with granted(bed, "hub"), granted(bed, "member"):
        async with access_between(bed) as scene:
            yield scene


@contextmanager
def granted(bed: Bed, cluster: str) -> Iterator[None]:
    """On the hub, group test:passers and the ServiceAccount `caller` may get and create on clusters/proxy of
    the member; there, `ada`, the hub's administrator and the account by its long name may use ConfigMaps.
    """
    if cluster == "hub":
        rule = {
            "apiGroups": ["access.meshctl.dev"],
            "resources": ["clusters/proxy"],
            "resourceNames": [MEMBER],
        }
        name, rules = _PASSES, [{**rule, "verbs": ["get", "create"]}]
        bed.kubectl("hub", "-n", "default", "create", "serviceaccount", "caller")
        account = {"kind": "ServiceAccount", "name": "caller", "namespace": "default"}
        subjects = [_subject("Group", PASSERS), account]
    else:
        verbs = ["get", "list", "watch", "create", "patch", "delete"]
        name, rules = _WORKS, [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]
        people = ("ada", "kubernetes-admin", "meshctl:hub:system:serviceaccount:default:caller")
        subjects = [_subject("User", person) for person in people]
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": subjects,
    }
    path = bed.folder / f"{name}.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [role, binding]}))
    bed.kubectl(cluster, "apply", "-f", str(path))
    try:
        yield
    finally:
        bed.kubectl(cluster, "delete", "-f", str(path))
        if cluster == "hub":
            bed.kubectl("hub", "-n", "default", "delete", "serviceaccount", "caller")


def _subject(kind: str, name: str) -> dict[str, str]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}

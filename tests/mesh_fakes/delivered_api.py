"""A hub or a member in memory, as delivery meets it: kinds to look up, and who applied what.

To `FakeApiServer` it adds discovery of the kinds that tests deliver, managed fields, generations, and the
answer to a DELETE by which one sees that the object is gone.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from mesh_fakes.api_server import FakeApiServer, Item, _FakeClient, _Target
from mesh_runtime.kube import KubeClient
from mesh_runtime.kube.client import Body

_SERVED = {
    "/api/v1": {"namespaces": ("Namespace", False), "configmaps": ("ConfigMap", True)},
    "/apis/apps/v1": {"deployments": ("Deployment", True)},
    "/apis/multicluster.x-k8s.io/v1beta1": {"serviceexports": ("ServiceExport", True)},
}


@dataclass(slots=True)
class DeliveredApi(FakeApiServer):
    """`deleted`: what somebody deleted, "collection/namespace/name" each, in order."""

    deleted: list[str] = field(default_factory=list)

    def client(self, username: str = "admin", *, believing: str = "") -> KubeClient:
        return _Client(self, username=username, believing=believing)

    def answer(
        self, username: str, method: str, target: _Target, *, params: Mapping[str, str], body: Body | None
    ) -> Item:
        manager = params.get("fieldManager", "")
        if method == "PATCH" and manager and not target.subresource:
            entry = {"manager": manager, "operation": "Apply", "fieldsV1": {"f:all": {}}}
            written = cast(Item, body)
            body = {**written, "metadata": {**written["metadata"], "managedFields": [entry]}}
        found = super(DeliveredApi, self).answer(username, method, target, params=params, body=body)
        if method != "DELETE":
            return found
        self.deleted.append("/".join(part for part in target.key if part))
        return {"kind": "Status"} if target.key not in self._objects else found

    def _store(self, target: _Target, item: Item, *, kind: str) -> Item:
        old = self._objects.get(target.key, {"metadata": {}})
        generation = old["metadata"].get("generation", 0) + (item.get("spec") != old.get("spec"))
        counted = {**item, "metadata": {**item["metadata"], "generation": generation}}
        return super(DeliveredApi, self)._store(target, counted, kind=kind)


class _Client(_FakeClient):
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Body | None = None,
        content_type: str = "application/json",
        limit: float = 10.0,
    ) -> bytes:
        if path in _SERVED:
            await asyncio.sleep(0)
            listed = [
                {"name": name, "kind": kind, "namespaced": is_namespaced}
                for name, (kind, is_namespaced) in _SERVED[path].items()
            ]
            return json.dumps({"resources": listed}).encode()
        version = next((one for one in _SERVED if one.rpartition("/")[0] == path), "")
        if version:
            return json.dumps({"preferredVersion": {"version": version.rpartition("/")[2]}}).encode()
        return await super().request(
            method, path, params=params, body=body, content_type=content_type, limit=limit
        )

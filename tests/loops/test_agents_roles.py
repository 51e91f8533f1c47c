"""A role that an agent could not take away is left to the garbage collector, and never the next agent's."""

import asyncio
from typing import Any

import pytest

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.cut_off import Cut, CutClient
from mesh_placement.agent.parting import remove_agent
from mesh_placement.heirs import disown
from mesh_placement.names import AGENT
from mesh_placement.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from mesh_runtime.kube import ApiError

pytestmark = pytest.mark.asyncio

CLUSTER_ROLE = CLUSTER_ROLES.path(AGENT)
CLUSTER_ROLE_BINDING = CLUSTER_ROLE_BINDINGS.path(AGENT)
ROLE = ROLES.path(AGENT, namespace=SYSTEM_NAMESPACE)
ROLE_BINDING = ROLE_BINDINGS.path(AGENT, namespace=SYSTEM_NAMESPACE)


async def member() -> FakeApiServer:
    """With an agent's rights; their objects come to stand there in any order."""
    server = FakeApiServer()
    admin = server.client()
    for resource, namespace in (
        (CLUSTER_ROLES, ""),
        (CLUSTER_ROLE_BINDINGS, ""),
        (ROLES, SYSTEM_NAMESPACE),
        (ROLE_BINDINGS, SYSTEM_NAMESPACE),
    ):
        place = {"namespace": namespace} if namespace else {}
        await admin.create(resource, {"metadata": {"name": AGENT, **place}})
    return server


async def test_its_bindings_own_its_roles_before_they_go() -> None:
    server = await member()
    await remove_agent(server.client("agent"))
    done = [(method, path.rpartition("/v1/")[2]) for user, method, path in server.requests if user == "agent"]
    for roles, bindings in (
        (f"roles/{SYSTEM_NAMESPACE}", f"rolebindings/{SYSTEM_NAMESPACE}"),
        ("clusterroles", "clusterrolebindings"),
    ):
        owned = done.index(("PATCH", f"{roles}/{AGENT}"))
        assert owned < done.index(("DELETE", f"{bindings}/{AGENT}"))
        assert owned < done.index(("DELETE", f"{roles}/{AGENT}"))
    assert not [one for one in server.paths() if AGENT in one]


class _Judging(CutClient):
    """The agent on a server that judges by what is bound at that time, and where deletions of bindings
    come late: a role that is deleted at the same time goes first."""

    def __init__(self, server: FakeApiServer) -> None:
        super().__init__(server.client("agent"), cut=Cut())
        self._server = server

    async def request(self, method: str, path: str, **more: Any) -> bytes:
        if "bindings/" in path:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        rights = ((ROLE, ROLE_BINDING), (CLUSTER_ROLE, CLUSTER_ROLE_BINDING))
        for right in rights:
            if path in right and any(self._server.peek(one) is None for one in right):
                raise ApiError(status=403, reason="Forbidden", message="no right")
        return await super().request(method, path, **more)


async def test_a_role_that_goes_first_leaves_no_binding_behind() -> None:
    server = await member()
    await remove_agent(_Judging(server))
    assert [one for one in server.paths() if "bindings/" in one] == []
    for path in (ROLE, CLUSTER_ROLE):
        found = server.peek(path)
        assert found is not None and found["metadata"]["ownerReferences"], "left to the garbage collector"


async def test_who_sets_up_the_next_agent_takes_the_heirs_rights_back() -> None:
    server = await member()
    dead = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "name": AGENT, "uid": "dead"}
    owned = {"metadata": {"ownerReferences": [dead]}}
    admin = server.client()
    await admin.merge_patch(ROLES, AGENT, owned, namespace=SYSTEM_NAMESPACE)
    await admin.merge_patch(CLUSTER_ROLES, AGENT, owned)
    await disown(admin)
    for path in (ROLE, CLUSTER_ROLE):
        found = server.peek(path)
        assert found is not None and "ownerReferences" not in found["metadata"]
    await disown(FakeApiServer().client())

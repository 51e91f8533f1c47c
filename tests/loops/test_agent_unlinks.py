"""A member that leaves its hub takes back what its agent said of the clusterset, nothing of the mesh's."""

import pytest

from mesh_fakes.api_server import FakeApiServer
from mesh_placement.agent.parting import unlink
from mesh_placement.names import AGENT_MANAGER
from mesh_runtime.kube import CLUSTER_PROPERTIES

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    ("writers", "stays"),
    [((AGENT_MANAGER,), False), ((AGENT_MANAGER, "meshctl"), True), (("meshctl",), True), (("ada",), True)],
    ids=["the agent's", "taken over by the mesh", "the mesh's", "somebody's"],
)
async def test_what_the_agent_alone_wrote_goes(writers: tuple[str, ...], stays: bool) -> None:
    member = FakeApiServer().client()
    authors = [{"manager": one, "operation": "Update"} for one in writers]
    meta = {"name": "clusterset.k8s.io", "managedFields": authors}
    await member.create(CLUSTER_PROPERTIES, {"metadata": meta, "spec": {"value": "prod"}})
    await unlink(member)
    assert (await member.find(CLUSTER_PROPERTIES, "clusterset.k8s.io") is not None) is stays

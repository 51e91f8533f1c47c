"""The page of metrics of a hub that floats: who only stands has one too, and says that it does not lead."""

import pytest

from mesh_fakes.api_server import FakeApiServer
from mesh_placement.hub.floating.election import Witness
from mesh_placement.hub.floating.hub import FloatingHub
from mesh_placement.hub.floating.seal import KEY_BYTES

pytestmark = pytest.mark.asyncio


async def test_a_candidate_has_a_page_of_metrics_and_says_that_it_does_not_lead() -> None:
    witnesses = [Witness(name, FakeApiServer().client()) for name in ("w0", "w1", "w2")]
    kube = FakeApiServer().client()
    hub = FloatingHub(kube, name="hub-1", cluster="w0", witnesses=witnesses, key=bytes(KEY_BYTES))
    assert b"\nmeshctl_hub_leading 0.0\n" in await hub.metrics()

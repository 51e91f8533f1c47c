"""A plan with one object that the API server calls invalid: the rest of it is written all the same."""

from typing import Any

import kmock as kmock_library
import pytest

from mesh_controller.act import Writer
from mesh_core.plan import Create, Kind
from mesh_fakes.scripted_api import Answer, client_of, refusal
from mesh_runtime.kube import ApiError

pytestmark = pytest.mark.asyncio

SERVICES = "/api/v1/namespaces/demo/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"


def step(kind: Kind) -> Create:
    return Create(kind=kind, body={"metadata": {"name": "x", "namespace": "demo"}})


async def written(server: kmock_library.RawHandler, *, status: int) -> list[str]:
    """Which of a Service, refused with `status`, and the slice behind it were asked for."""
    asked: list[str] = []

    def refuse(_request: kmock_library.Request) -> Any:  # kmock's payloads are whatever renders
        asked.append("service")
        return refusal(status, "Refused").respond()

    def accept(_request: kmock_library.Request) -> Any:  # as above
        asked.append("slice")
        return Answer({"metadata": {"name": "x", "namespace": "demo"}}).respond()

    server[f"post {SERVICES}"] << refuse
    server[f"post {SLICES}"] << accept
    async with client_of(server) as kube:
        with pytest.raises(ApiError) as raised:
            await Writer(kube).write((step(Kind.SERVICE), step(Kind.ENDPOINT_SLICE)))
        assert raised.value.status == status
    return asked


async def test_slices_follow_though_the_shadow_service_is_invalid(kmock: kmock_library.RawHandler) -> None:
    assert await written(kmock, status=422) == ["service", "slice"]


async def test_any_other_refusal_ends_the_plan(kmock: kmock_library.RawHandler) -> None:
    assert await written(kmock, status=409) == ["service"]

"""A plan with one object that the API server calls invalid: the rest of it is written all the same."""

from typing import Any

import kmock as kmock_library
import pytest

from mesh_controller.act import Writer
from mesh_core.plan import Create, Delete, Kind
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


@pytest.mark.parametrize("status", [403, 409, 500])
async def test_what_cannot_be_made_holds_up_no_slice(kmock: kmock_library.RawHandler, status: int) -> None:
    """A quota, somebody else's object of that name, no cluster IP left: no better at once."""
    assert await written(kmock, status=status) == ["service", "slice"]


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_any_other_refusal_ends_the_plan(kmock: kmock_library.RawHandler, status: int) -> None:
    assert await written(kmock, status=status) == ["service"]


async def test_where_a_slice_could_not_be_made_none_is_deleted(kmock: kmock_library.RawHandler) -> None:
    asked: list[str] = []

    def refuse(request: kmock_library.Request) -> Any:  # kmock's payloads are whatever renders
        asked.append(request.method.value)
        return refusal(409, "AlreadyExists").respond()

    kmock[f"post {SLICES}"] << refuse
    kmock[f"delete {SLICES}/old"] << refuse
    old = Delete(kind=Kind.ENDPOINT_SLICE, namespace="demo", name="old", uid="u")
    async with client_of(kmock) as kube:
        with pytest.raises(ApiError):
            await Writer(kube).write((step(Kind.ENDPOINT_SLICE), old))
    assert asked == ["POST"]

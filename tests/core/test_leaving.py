"""A gateway that ends goes on until nobody is sent to it any more, and not for ever (ruling 6)."""

import asyncio

import pytest

from mesh_core.objects import Endpoint, EndpointConditions, EndpointSlice
from mesh_fakes.route_objects import remote
from mesh_gateway.leaving import is_listed, unlisted
from mesh_gateway.limits import Limits

OURS = "10.0.0.2"
LIMITS = Limits(farewell=3.0, unlisting=10.0, settle=2.0)


def listing(address: str, **conditions: bool) -> EndpointSlice:
    return remote(
        "east", listed=(Endpoint(addresses=(address,), conditions=EndpointConditions(**conditions)),)
    )


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ((), False),
        ((remote("east", listed=()),), False),
        ((listing("10.0.0.3", ready=True),), False),
        ((listing("10.0.0.22", ready=True),), False),
        ((listing(OURS, ready=True),), True),
        ((listing(OURS),), True),
        ((listing(OURS, ready=False),), False),
        ((listing(OURS, ready=False, serving=False, terminating=True),), False),
        ((listing(OURS, ready=False, serving=True, terminating=True),), True),
        ((listing("10.0.0.3", ready=True), listing(OURS, ready=True)), True),
    ],
)
def test_it_is_listed_while_a_slice_may_bring_somebody(
    slices: tuple[EndpointSlice, ...], expected: bool
) -> None:
    assert is_listed(slices, address=OURS) is expected


@pytest.mark.asyncio
@pytest.mark.looptime
@pytest.mark.parametrize(
    ("listed_until", "leaves"),
    [
        pytest.param(0.0, 3.0, id="never listed: the farewell alone"),
        pytest.param(0.5, 3.0, id="soon unlisted"),
        pytest.param(4.0, 6.0, id="later unlisted, and the time in which nodes hear of it"),
        pytest.param(100.0, 10.0, id="always listed: the controller is down"),
    ],
)
async def test_it_leaves_when_no_slice_lists_it_and_nodes_have_heard(
    listed_until: float, leaves: float
) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    await unlisted(lambda: clock() - began < listed_until, limits=LIMITS)
    assert leaves <= clock() - began <= leaves + 0.3

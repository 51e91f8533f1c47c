"""What a cluster says of its room: sums by table, shapes that never promise what the nodes do not hold."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh_placement.decide.capacity import Uses, ask_of, capacity, free_shapes
from mesh_placement.decide.capacity_news import NAMES, REST, SLOW, SOON, seconds_until_write
from mesh_placement.decide.quantity import Rounding, quantity, thousandths
from mesh_placement.decide.shapes import NodeFree, fitting, replicas_in, shapes_of
from mesh_placement.objects import ClusterCapacityStatus
from mesh_placement.objects.member import NodeRoom, PodUse

QUANTITIES = {
    "2": 2000,
    "100m": 100,
    ".5": 500,
    "1.5Gi": 1610612736000,
    "6Gi": 6 * 1024**3 * 1000,
    "12e6": 12_000_000_000,
    "1E": 10**21,
    "1k": 1_000_000,
    "100n": 0,
    "-1": -1000,
    "": None,
    "Gi": None,
    "1 Gi": None,
    "1e99999999": None,
    "9" * 41: None,
}


@pytest.mark.parametrize(("text", "number"), QUANTITIES.items())
def test_a_quantity_is_read_as_kubernetes_means_it(text: str, number: int | None) -> None:
    assert thousandths(text, rounding=Rounding.DOWN) == number


def test_what_is_asked_for_is_rounded_up() -> None:
    assert thousandths("100n", rounding=Rounding.UP) == 1


@pytest.mark.parametrize(
    ("resource", "number", "text"),
    [
        ("cpu", 3500, "3500m"),
        ("cpu", 20_000, "20"),
        ("memory", 6 * 1024**3 * 1000, "6Gi"),
        ("memory", 1_500_999, "1500"),
        ("memory", 0, "0"),
        ("nvidia.com/gpu", 10_000, "10"),
    ],
)
def test_a_quantity_is_written_in_its_shortest_exact_form(resource: str, number: int, text: str) -> None:
    assert quantity(resource, number) == text


@given(some.integers(min_value=0, max_value=10**21), some.sampled_from(["cpu", "memory", "example.com/x"]))
def test_a_quantity_that_is_written_and_read_is_never_more(number: int, resource: str) -> None:
    again = thousandths(quantity(resource, number), rounding=Rounding.DOWN)
    assert again is not None
    assert number - 1000 < again <= number


AMOUNTS = some.fixed_dictionaries(
    {"cpu": some.integers(0, 64_000), "memory": some.integers(0, 512), "pods": some.integers(0, 200_000)},
    optional={"nvidia.com/gpu": some.integers(0, 8_000)},
)
NODES = some.lists(
    some.builds(NodeFree, AMOUNTS, kind=some.sampled_from(["", "arm"])), min_size=0, max_size=60
)
REQUESTS = some.fixed_dictionaries(
    {"cpu": some.integers(0, 8_000), "memory": some.integers(0, 64)},
    optional={"nvidia.com/gpu": some.integers(1, 2_000)},
).filter(lambda request: any(request.values()))


def placed_first_fit(nodes: Sequence[NodeFree], request: dict[str, int]) -> int:
    """How many replicas a scheduler puts on the real nodes, one by one."""
    room = [{"pods": 0, **node.free} for node in nodes]
    wanted = {**request, "pods": 1000}
    placed = 0
    for free in room:
        while all(free.get(name, 0) >= amount for name, amount in wanted.items()):
            for name, amount in wanted.items():
                if amount:
                    free[name] -= amount
            placed += 1
    return placed


@given(NODES, REQUESTS, some.integers(1, 12))
def test_shapes_never_take_more_replicas_than_the_real_nodes(
    nodes: list[NodeFree], request: dict[str, int], most: int
) -> None:
    wanted = {name: amount * 10 if name == "cpu" else amount for name, amount in request.items()}
    shapes = shapes_of(nodes, most=most)
    assert sum(shape.count for shape in shapes) == len(nodes)
    assert len(shapes) <= max(most, len({node.kind for node in nodes}))
    counted = replicas_in(shapes, request={**wanted, "pods": 1000})
    assert counted <= placed_first_fit(nodes, wanted)


@given(NODES)
def test_the_order_of_the_nodes_does_not_matter(nodes: list[NodeFree]) -> None:
    assert shapes_of(nodes, most=5) == shapes_of(list(reversed(nodes)), most=5)


@given(some.lists(some.builds(NodeFree, AMOUNTS), max_size=40), REQUESTS)
def test_as_many_shapes_as_nodes_are_exact(nodes: list[NodeFree], request: dict[str, int]) -> None:
    exact = sum(fitting({"pods": 0, **node.free}, request=request) for node in nodes)
    assert replicas_in(shapes_of(nodes, most=128), request={**request, "pods": 1000}) == exact


def node(name: str, **fields: object) -> NodeRoom:
    allocatable = {"cpu": "4", "memory": "8Gi", "pods": "10"}
    body = {"metadata": {"name": name}, "status": {"allocatable": allocatable}, **fields}
    return msgspec.convert(body, NodeRoom)


def pod(name: str, **fields: object) -> PodUse:
    """A Pod; `fields` are those of its spec, but `on` is its node and `phase` its phase."""
    spec = {"nodeName": fields.pop("on", ""), "containers": [], **fields}
    phase = spec.pop("phase", "Running")
    meta = {"name": name, "namespace": "shop"}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": {"phase": phase}}, PodUse)


def asks(**requests: str) -> dict[str, object]:
    return {"resources": {"requests": requests}}


ASKS: dict[str, tuple[dict[str, object], dict[str, int]]] = {
    "containers together": ({"containers": [asks(cpu="1"), asks(cpu="500m")]}, {"cpu": 1500}),
    "an init container that is larger": (
        {"containers": [asks(cpu="1")], "initContainers": [asks(cpu="3")]},
        {"cpu": 3000},
    ),
    "a sidecar beside all": (
        {
            "containers": [asks(cpu="1")],
            "initContainers": [{**asks(cpu="2"), "restartPolicy": "Always"}, asks(cpu="3")],
        },
        {"cpu": 5000},
    ),
    "a sidecar begun after the large init container": (
        {
            "containers": [asks(cpu="1")],
            "initContainers": [asks(cpu="3"), {**asks(cpu="2"), "restartPolicy": "Always"}],
        },
        {"cpu": 3000},
    ),
    "overhead on top": ({"containers": [asks(cpu="1")], "overhead": {"cpu": "250m"}}, {"cpu": 1250}),
    "the pod's own instead": (
        {"containers": [asks(cpu="1")], "resources": {"requests": {"cpu": "7"}}},
        {"cpu": 7000},
    ),
    "nothing": ({"containers": [{}, {"resources": {"requests": None}}]}, {}),
}


@pytest.mark.parametrize(("spec", "amounts"), ASKS.values(), ids=ASKS)
def test_a_pod_asks_for_what_the_scheduler_counts(spec: dict[str, object], amounts: dict[str, int]) -> None:
    assert ask_of(pod("a", **spec)).amounts == {**amounts, "pods": 1000}


def uses_of(*pods: PodUse) -> Uses:
    uses = Uses()
    for one in pods:
        uses.changed(one.key, one)
    return uses


def test_the_three_numbers_and_the_shapes_of_a_small_cluster() -> None:
    uses = uses_of(
        pod("a", on="n1", containers=[asks(cpu="3", memory="1Gi")]),
        pod("b", on="n2", containers=[asks(cpu="1", memory="6Gi")]),
        pod("waits", containers=[asks(cpu="500m")]),
        pod("done", on="n1", phase="Succeeded", containers=[asks(cpu="4")]),
        pod("elsewhere", on="n3", containers=[asks(cpu="4")]),
    )
    found = capacity([node("n2"), node("n1"), node("n3", spec={"unschedulable": True})], uses=uses)
    assert found.total == {"cpu": "8", "memory": "16Gi", "pods": "20"}
    assert found.available == {"cpu": "3500m", "memory": "9Gi", "pods": "17"}
    assert found.continuous == {"cpu": "3", "memory": "7Gi", "pods": "9"}
    assert (found.nodes, found.pods) == (3, 4)
    assert [shape.count for shape in found.shapes] == [1, 1]
    # Most free cpu and most free memory are on different nodes: the sums say two, the truth is none.
    assert replicas_in(free_shapes(found), request={"cpu": 3000, "memory": 7 * 1024**3 * 1000}) == 0
    assert found.warnings == ("not counted are 1 nodes: cordoned, or tainted with NoSchedule or NoExecute",)


def test_pods_that_come_move_and_go_leave_nothing_behind() -> None:
    uses = uses_of(pod("a", on="n1", containers=[asks(cpu="3")]))
    before = capacity([node("n1")], uses=Uses())
    uses.changed(("shop", "a"), pod("a", on="n2", containers=[asks(cpu="1")]))
    assert capacity([node("n1")], uses=uses).available == before.available
    uses.changed(("shop", "a"), None)
    uses.changed(("shop", "a"), None)
    assert capacity([node("n1")], uses=uses) == before


def test_memory_in_thousandths_of_a_byte_is_warned_of() -> None:
    uses = uses_of(pod("a", on="n1", containers=[asks(memory="1200m")]))
    (warning,) = capacity([node("n1")], uses=uses).warnings
    assert "Pod shop/a asks for memory: 1200m" in warning
    assert '"1200Mi"' in warning


def test_a_node_of_another_architecture_is_another_shape() -> None:
    arm = node("n2", metadata={"name": "n2", "labels": {"kubernetes.io/arch": "arm64"}})
    assert [shape.count for shape in capacity([node("n1"), arm], uses=Uses()).shapes] == [1, 1]


STATUS = ClusterCapacityStatus(total={"cpu": "100"}, available={"cpu": "40"}, nodes=3)
SLIGHTLY = msgspec.structs.replace(STATUS, available={"cpu": "39"})
MUCH = msgspec.structs.replace(STATUS, available={"cpu": "38"})
REVISION = msgspec.structs.replace(STATUS, observed_assignments={"shop/cart": 7})
NAMESPACE = msgspec.structs.replace(STATUS, namespaces=("shop",))


@pytest.mark.parametrize(
    ("seen", "wanted", "since", "wait"),
    [
        (STATUS, STATUS, None, None),
        (None, STATUS, None, 0.0),
        (STATUS, SLIGHTLY, None, 0.0),
        (STATUS, SLIGHTLY, 10.0, SLOW - 10.0),
        (STATUS, MUCH, 10.0, REST - 10.0),
        (STATUS, MUCH, 31.0, 0.0),
        (STATUS, REVISION, None, 0.0),
        (STATUS, REVISION, 0.5, SOON - 0.5),
        (STATUS, REVISION, 29.0, 0.0),
        (REVISION, STATUS, 29.0, 1.0),
        (STATUS, NAMESPACE, 1.0, NAMES - 1.0),
    ],
)
def test_what_is_waited_for_is_written_soon_a_twentieth_at_rest_and_less_late(
    seen: ClusterCapacityStatus | None,
    wanted: ClusterCapacityStatus,
    since: float | None,
    wait: float | None,
) -> None:
    assert seconds_until_write(seen, wanted, since_last=since) == wait

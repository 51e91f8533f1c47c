"""Room in a member, from its Nodes and Pods: what ClusterCapacity.status says.

1. `total` is what schedulable nodes have; `available` is that less what unfinished pods ask for, also those
   that have no node yet; `continuous` is, for each resource, the most that is free on one node.
2. The three numbers are for people and quick refusals. Replicas are counted from `shapes`.
3. A node with a taint that keeps pods away is not counted, and neither are the pods on it.

What a pod asks for: Kubernetes' "Resource Management for Pods and Containers" and "Sidecar Containers": its
containers and sidecars together, or the one init container that asks for more beside the sidecars begun
before it; a pod's own requests stand instead; overhead comes on top.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mesh_placement.decide.quantity import Rounding, is_less_than_a_byte, quantity, thousandths
from mesh_placement.decide.shapes import FreeShape, NodeFree, shapes_of
from mesh_placement.objects import ClusterCapacityStatus, Shape
from mesh_placement.objects.member import ContainerUse, NodeRoom, PodUse, ResourceList

KEEPS_AWAY = ("NoSchedule", "NoExecute")
MOST_WARNINGS = 10
_KIND_LABELS = ("kubernetes.io/os", "kubernetes.io/arch")
_ONE_POD = 1000

Amounts = Mapping[str, int]
"""Resource to thousandths."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one pod asks for, on which node ("": none yet); `doubts` are quantities that nobody means."""

    node: str
    amounts: Amounts
    doubts: tuple[str, ...] = ()


def ask_of(pod: PodUse) -> Ask:
    """What the pod asks for; a finished one asks for nothing and is not given here."""
    spec = pod.spec
    amounts = _of_containers(spec.containers, spec.init_containers)
    if spec.resources is not None:
        amounts.update(_amounts(spec.resources.requests))
    _add(amounts, _amounts(spec.overhead))
    amounts["pods"] = _ONE_POD
    return Ask(spec.node_name, amounts, tuple(_doubts(pod)))


def _of_containers(
    containers: Iterable[ContainerUse], init_containers: Iterable[ContainerUse]
) -> dict[str, int]:
    beside: dict[str, int] = {}
    first: dict[str, int] = {}
    for one in init_containers:
        wanted = _amounts(one.resources.requests)
        if one.restart_policy == "Always":
            _add(beside, wanted)
        else:
            _add(wanted, beside)
        _raise(first, beside if one.restart_policy == "Always" else wanted)
    together = dict(beside)
    for one in containers:
        _add(together, _amounts(one.resources.requests))
    _raise(together, first)
    return together


class Uses:
    """What all unfinished pods ask for, by node; follows their changes, so that none is counted again."""

    def __init__(self) -> None:
        self._asks: dict[tuple[str, str], Ask] = {}
        self._nodes: dict[str, dict[str, int]] = {}

    def changed(self, key: tuple[str, str], pod: PodUse | None) -> None:
        """Follow one change of the Pod `key`; None: it is gone."""
        ask = ask_of(pod) if pod is not None and not pod.is_finished else None
        old = self._asks.pop(key, None)
        if old is not None:
            self._count(old, sign=-1)
        if ask is not None:
            self._asks[key] = ask
            self._count(ask, sign=1)

    def copy(self) -> "Uses":
        """As it is now; follows nothing."""
        same = Uses()
        same._asks = dict(self._asks)
        same._nodes = {node: dict(amounts) for node, amounts in self._nodes.items()}
        return same

    def on(self, node: str) -> Amounts:
        """What is asked for on that node; "" is what has no node yet."""
        return self._nodes.get(node, {})

    @property
    def pods(self) -> int:
        """How many there are."""
        return len(self._asks)

    @property
    def doubts(self) -> tuple[str, ...]:
        """The first few warnings about them."""
        doubted = sorted(key for key, ask in self._asks.items() if ask.doubts)
        return tuple(doubt for key in doubted for doubt in self._asks[key].doubts)[:MOST_WARNINGS]

    def _count(self, ask: Ask, *, sign: int) -> None:
        on = self._nodes.setdefault(ask.node, {})
        for name, amount in ask.amounts.items():
            on[name] = on.get(name, 0) + sign * amount
        if not on.get("pods"):
            del self._nodes[ask.node]


def capacity(nodes: Iterable[NodeRoom], *, uses: Uses) -> ClusterCapacityStatus:
    """The status, without `observed_assignments`; the same nodes and pods give the same text."""
    every = sorted(nodes, key=lambda node: node.metadata.name)
    usable = [node for node in every if is_schedulable(node)]
    total: dict[str, int] = defaultdict(int)
    available: dict[str, int] = defaultdict(int)
    continuous: dict[str, int] = defaultdict(int)
    free: list[NodeFree] = []
    for node in usable:
        has = _amounts(node.status.allocatable, rounding=Rounding.DOWN)
        asked = uses.on(node.metadata.name)
        left = {name: max(0, amount - asked.get(name, 0)) for name, amount in has.items()}
        free.append(NodeFree(left, _kind(node)))
        for name, amount in has.items():
            total[name] += amount
            available[name] += left[name]
            continuous[name] = max(continuous[name], left[name])
    for name, amount in uses.on("").items():
        if name in available:
            available[name] = max(0, available[name] - amount)
    return ClusterCapacityStatus(
        total=_texts(total),
        available=_texts(available),
        continuous=_texts(continuous),
        shapes=tuple(map(_shape, shapes_of(free))),
        nodes=len(every),
        pods=uses.pods,
        warnings=_warnings(uses.doubts, set_aside=len(every) - len(usable)),
    )


def is_schedulable(node: NodeRoom) -> bool:
    """Whether pods without tolerations may be put there."""
    away = any(taint.effect in KEEPS_AWAY for taint in node.spec.taints or ())
    return not (node.spec.unschedulable or away or node.metadata.deletion_timestamp)


def free_shapes(status: ClusterCapacityStatus) -> tuple[FreeShape, ...]:
    """The shapes as numbers, to count replicas in."""
    return tuple(
        FreeShape(shape.count, _amounts(shape.free, rounding=Rounding.DOWN), shape.node_labels_hash)
        for shape in status.shapes
    )


def _shape(shape: FreeShape) -> Shape:
    return Shape(count=shape.count, free=_texts(shape.free), node_labels_hash=shape.kind)


def _kind(node: NodeRoom) -> str:
    """Nodes of another system or architecture are other nodes, whatever room they have."""
    said = [node.metadata.labels.get(label, "") for label in _KIND_LABELS]
    return hashlib.sha256("/".join(said).encode()).hexdigest()[:6] if any(said) else ""


def _doubts(pod: PodUse) -> Iterable[str]:
    for one in (*pod.spec.init_containers, *pod.spec.containers):
        for name, text in sorted((one.resources.requests or {}).items()):
            if is_less_than_a_byte(name, text):
                whose = f"Pod {pod.metadata.namespace}/{pod.metadata.name}"
                meant = text.rstrip("mun")
                yield f'{whose} asks for {name}: {text}, which is less than a byte each; write "{meant}Mi"'


def _warnings(doubts: tuple[str, ...], *, set_aside: int) -> tuple[str, ...]:
    if not set_aside:
        return doubts
    return (*doubts, f"not counted are {set_aside} nodes: cordoned, or tainted with NoSchedule or NoExecute")


def _amounts(resources: ResourceList | None, *, rounding: Rounding = Rounding.UP) -> dict[str, int]:
    """What reads; the API server lets nothing else in."""
    found = {name: thousandths(text, rounding=rounding) for name, text in (resources or {}).items()}
    return {name: amount for name, amount in found.items() if amount is not None and amount >= 0}


def _texts(amounts: Amounts) -> dict[str, str]:
    return {name: quantity(name, amount) for name, amount in sorted(amounts.items())}


def _add(to: dict[str, int], more: Amounts) -> None:
    for name, amount in more.items():
        to[name] = to.get(name, 0) + amount


def _raise(to: dict[str, int], floor: Amounts) -> None:
    for name, amount in floor.items():
        to[name] = max(to.get(name, 0), amount)

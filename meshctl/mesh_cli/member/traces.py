"""What came from one peer into a cluster, and whether it is gone: records, slices, stand-ins, imports."""

import asyncio
from dataclasses import dataclass

from mesh_core.errors import EnvironmentFault
from mesh_core.identity import ClusterId
from mesh_core.names import (
    CONTROLLER,
    LABEL_CLUSTER,
    LABEL_SLICE_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
    SYSTEM_NAMESPACE,
    peer_lease_name,
)
from mesh_core.stand_ins import stand_in_of
from mesh_runtime.kube import (
    ENDPOINT_SLICES,
    IMPORTED_RECORDS,
    IMPORTED_SHARDS,
    LEASES,
    MESH_PEERS,
    SERVICE_IMPORTS,
    SERVICES,
    KubeClient,
)
from mesh_runtime.progress import Step

_LOOK_AGAIN = 0.25


class NotGone(EnvironmentFault):
    """What came from a peer does not go."""

    def __init__(self, *, context: str, peer: str, left: str) -> None:
        super().__init__(
            f"context {context}: still there of {peer}: {left}",
            next_step=f"see that the controller runs: kubectl --context {context} -n {SYSTEM_NAMESPACE} "
            f"get deployment {CONTROLLER}",
        )


@dataclass(frozen=True, slots=True)
class Traces:
    """What is there of a peer; `imports` are "namespace/name" with the other clusters that export it."""

    is_peer: bool = False
    has_lease: bool = False
    records: int = 0
    shards: int = 0
    slices: int = 0
    stand_ins: int = 0
    imports: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def is_clear(self) -> bool:
        """Whether nothing of the peer is left."""
        return self == Traces()

    def __str__(self) -> str:
        counted = (
            ("records", self.records),
            ("shards", self.shards),
            ("slices", self.slices),
            ("stand-ins", self.stand_ins),
            ("imports", len(self.imports)),
        )
        parts = ["its MeshPeer"] if self.is_peer else []
        parts += [f"{count} {what}" for what, count in counted if count]
        return ", ".join([*parts, *(["its Lease"] if self.has_lease else [])]) or "nothing"


async def traces_of(client: KubeClient, peer: ClusterId) -> Traces:
    """What is there now; raises ApiError, Unreachable."""
    records = (await client.list(IMPORTED_RECORDS, namespace=SYSTEM_NAMESPACE)).items
    shards = (await client.list(IMPORTED_SHARDS, namespace=SYSTEM_NAMESPACE)).items
    labels = f"{LABEL_SLICE_MANAGED_BY}={MANAGER}"
    slices = (await client.list(ENDPOINT_SLICES, labels=labels)).items
    services = (await client.list(SERVICES, namespace=SYSTEM_NAMESPACE)).items
    imports = (await client.list(SERVICE_IMPORTS)).items
    stand_ins = (one for one in services if stand_in_of(one) is not None)
    return Traces(
        is_peer=await client.find(MESH_PEERS, peer) is not None,
        has_lease=await client.find(LEASES, peer_lease_name(cluster=peer), namespace=SYSTEM_NAMESPACE)
        is not None,
        records=sum(one.spec.cluster == peer for one in records),
        shards=sum(one.spec.cluster == peer for one in shards),
        slices=sum(
            peer in (one.metadata.labels.get(LABEL_SOURCE_CLUSTER), one.metadata.labels.get(LABEL_CLUSTER))
            for one in slices
        ),
        stand_ins=sum(one.metadata.labels.get(LABEL_CLUSTER) == peer for one in stand_ins),
        imports=tuple(
            sorted(
                ("/".join(one.key), tuple(sorted(clusters - {peer})))
                for one in imports
                if peer in (clusters := {entry.cluster for entry in one.status.clusters})
            )
        ),
    )


async def wait_until_clear(
    client: KubeClient, peer: ClusterId, *, context: str, limit: float, step: Step
) -> None:
    """Until the controller has taken away all that came from the peer; NotGone after `limit` seconds."""
    deadline = asyncio.get_running_loop().time() + limit
    while not (left := await traces_of(client, peer)).is_clear:
        if asyncio.get_running_loop().time() + _LOOK_AGAIN > deadline:
            raise NotGone(context=context, peer=peer, left=str(left))
        step.update(f"left: {left}")
        await asyncio.sleep(_LOOK_AGAIN)


def gone_lines(before: Traces) -> list[str]:
    """What went with the peer, a line each; pure."""
    lines = [
        f"  {name}: {f'stays, exported by {_few(others)}' if others else 'gone, nobody else exports it'}"
        for name, others in before.imports
    ]
    return [f"  removed: {before}", *lines]


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

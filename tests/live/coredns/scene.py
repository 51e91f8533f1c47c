"""Two light clusters whose controllers run, what west ends up with, and what both servers say of it."""

import asyncio
from collections.abc import Sequence

from live.coredns.objects import CLUSTER_SET_IP, GONE, HEADLESS, ODD, REAL, VACANT, by_hand, exported
from live.coredns.servers import Question, Said, ask, both
from live.mcs.world import ready_addresses, seen
from mesh_bench.bed import Bed, Cluster, bed
from mesh_bench.controllers import controllers
from mesh_core.names import LABEL_SERVICE_NAME
from mesh_runtime.kube import ENDPOINT_SLICES, NAMESPACES, SERVICE_IMPORTS

LIMIT = 180.0  # seconds
MANAGER = "live-test"
_READY = {
    name: sum(one["conditions"].get("ready", True) for one in (*(east or ()), *(west or ())))
    for name, (_ports, east, west) in HEADLESS.items()
}

Answers = dict[Question, dict[str, Said]]


def answers_of_both(questions: Sequence[Question]) -> Answers:
    """What CoreDNS and ours say to each question; blocks for a minute."""
    return asyncio.run(_answers(questions))


async def _answers(questions: Sequence[Question]) -> Answers:
    async with bed("east", "west") as made:
        west = made.clusters["west"]
        async with controllers(made):
            await _export(made)
            await seen(lambda: _imported(west), lambda found: found == _wanted(), limit=LIMIT)
        # What controllers made stays when they stop; nobody touches what is written by hand now.
        await _write_by_hand(west)
        async with both(made, west) as ports:
            said = {
                name: await asyncio.to_thread(ask, west.network, port, questions)
                for name, port in ports.items()
            }
    return {
        question: {name: answers[place] for name, answers in said.items()}
        for place, question in enumerate(questions)
    }


async def _export(made: Bed) -> None:
    for name, cluster in made.clusters.items():
        await cluster.kube.create(NAMESPACES, {"metadata": {"name": REAL}})
        for manifest in exported(name):
            await cluster.kube.apply_manifest(manifest, field_manager=MANAGER)


def _wanted() -> dict[str, int]:
    return {**_READY, **dict.fromkeys(CLUSTER_SET_IP, 1)}


async def _imported(west: Cluster) -> dict[str, int]:
    """What west has: ready addresses of headless imports, clusterset IPs of the others."""
    found: dict[str, int] = {}
    for one in (await west.kube.list(SERVICE_IMPORTS, namespace=REAL)).items:
        name = one.metadata.name
        labels = f"{LABEL_SERVICE_NAME}={name}"
        slices = (await west.kube.list(ENDPOINT_SLICES, namespace=REAL, labels=labels)).items
        found[name] = len(one.spec.ips) if name in CLUSTER_SET_IP else len(ready_addresses(slices))
    return found


async def _write_by_hand(west: Cluster) -> None:
    for namespace in (ODD, VACANT, GONE):
        await west.kube.create(NAMESPACES, {"metadata": {"name": namespace}})
    for manifest in by_hand():
        await west.kube.apply_manifest(manifest, field_manager=MANAGER)
    # Nobody empties a namespace in a light cluster: its objects stay behind when it is gone.
    await west.kube.delete(NAMESPACES, GONE)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GONE}, "spec": {"finalizers": []}}
    await west.kube.request("PUT", f"/api/v1/namespaces/{GONE}/finalize", body=body)

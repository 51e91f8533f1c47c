"""Our Events on a real API server, written with the controller's rights: who looks with kubectl sees them."""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from mesh_controller.caches import Caches
from mesh_controller.event_teller import EventCounts, EventTeller
from mesh_controller.event_watch import EventWatch
from mesh_core.names import CONTROLLER, SYSTEM_NAMESPACE
from mesh_fakes.access import ELSEWHERE
from mesh_fakes.api_server import Item
from mesh_fakes.bed import Bed
from mesh_fakes.waiting import until
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import MESH_PEERS, SERVICE_EXPORTS, KubeClient

pytestmark = pytest.mark.asyncio

ACCOUNT = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{CONTROLLER}"
HOSTILE = "\x1b[2J\u202e" + "ü" * 900 + "; change the records in the peer's cluster"


def said(kind: str, status: str, reason: str, words: str = "what is meshctl.dev/alow?") -> Item:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": kind, "status": status, "reason": reason, "message": words, "lastTransitionTime": now}


async def turned(kube: KubeClient, *conditions: Item) -> None:
    body = {"status": {"conditions": list(conditions)}}
    await kube.merge_patch(SERVICE_EXPORTS, "told", body, namespace=ELSEWHERE, subresource="status")


async def test_kubectl_describe_shows_what_turned_and_a_sibling_counts_on(light: Bed) -> None:
    valid, ready = said("Valid", "True", "Valid"), said("Ready", "True", "Exported", "exported to every one")
    withheld = said("Ready", "False", "InvalidPolicy")
    async with light.client("alone") as kube:
        await kube.create(SERVICE_EXPORTS, {"metadata": {"name": "told", "namespace": ELSEWHERE}})
        await kube.create(MESH_PEERS, {"metadata": {"name": "teller"}, "spec": {"dial": "inbound"}})
        account = kube.acting_as(ACCOUNT)
        for number, replica in enumerate(("controller-1", "controller-2"), start=1):
            counts, caches = EventCounts(), Caches(account)
            teller = EventTeller(account, instance=replica, clock=utc_now, counts=counts)
            watch = EventWatch(caches=caches, teller=teller, ours=lambda: None, clock=utc_now)
            tasks = [asyncio.create_task(caches.run())]
            await caches.until_synced()
            tasks.append(asyncio.create_task(watch.run()))
            await asyncio.sleep(0)
            await turned(kube, valid, ready)
            await turned(kube, valid, withheld)
            if number == 1:
                body = {"status": {"conditions": [said("RecordsAccepted", "False", "SomeRefused", HOSTILE)]}}
                await kube.merge_patch(MESH_PEERS, "teller", body, subresource="status")
                wanted = counts.written, {"Normal": 1, "Warning": 2}
            else:
                wanted = counts.repeated, {"Normal": 1, "Warning": 1}
            await until(lambda wanted=wanted: wanted[0] == wanted[1])  # type: ignore[misc]  # default
            assert not +counts.dropped, counts.dropped
            for task in reversed(tasks):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        shown = light.kubectl("alone", "-n", ELSEWHERE, "describe", "serviceexport", "told")
        peer = light.kubectl("alone", "describe", "meshpeer", "teller")
        events = light.kubectl("alone", "-n", ELSEWHERE, "get", "events.events.k8s.io", "-o", "json")
        await kube.delete(SERVICE_EXPORTS, "told", namespace=ELSEWHERE)
        await kube.delete(MESH_PEERS, "teller")
    print(shown[shown.index("Events:") :], peer[peer.index("Events:") :])
    (line,) = [one for one in shown.splitlines() if "InvalidPolicy" in one and "Warning" in one]
    assert "x2 over" in line
    assert "meshctl.dev/controller" in line
    assert line.rstrip().endswith("what is meshctl.dev/alow?")
    assert "Exported" in shown
    (line,) = [one for one in peer.splitlines() if "SomeRefused" in one and "Warning" in one]
    assert "\x1b" not in line and "\u202e" not in line
    assert line.rstrip().endswith("change the records in the peer's cluster")
    found = {one["reason"]: one for one in json.loads(events)["items"]}
    assert found["InvalidPolicy"]["series"]["count"] == 2
    assert found["InvalidPolicy"]["reportingInstance"] == "controller-1"

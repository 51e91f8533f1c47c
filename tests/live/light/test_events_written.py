"""Our Events on a real API server, written with the controller's rights: who looks with kubectl sees them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from mesh_cli.install.shipped import Component, component_folder
from mesh_controller.caches import Caches
from mesh_controller.event_teller import EventCounts, EventTeller
from mesh_controller.event_watch import EventWatch
from mesh_core.names import CONTROLLER, SYSTEM_NAMESPACE
from mesh_fakes.access import ELSEWHERE
from mesh_fakes.api_server import Item
from mesh_fakes.bed import Bed
from mesh_fakes.waiting import until
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import EVENTS, MESH_PEERS, SERVICE_EXPORTS, ApiError, KubeClient

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


def event(name: str, namespace: str = ELSEWHERE, **changes: object) -> Item:
    """An Event as our controller writes it, about an export, with something changed."""
    export = {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "uid": "u"}
    body: Item = {
        "metadata": {"name": name, "namespace": namespace},
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "meshctl.dev/controller",
        "reportingInstance": "controller-1",
        "regarding": {**export, "name": "told", "namespace": ELSEWHERE},
        "type": "Normal",
        "reason": "Exported",
        "note": "exported to everyone",
        "action": "Ready",
    }
    return {**body, **changes}


POD = {"apiVersion": "v1", "kind": "Pod", "name": "a", "namespace": ELSEWHERE, "uid": "u"}
PEER = {"apiVersion": "meshctl.dev/v1alpha1", "kind": "MeshPeer", "name": "west", "uid": "u"}
NOT_OURS: list[tuple[Item, str]] = [
    (event("forged", reportingController="kubelet"), "as itself"),
    (event("of-a-pod", regarding=POD), "exports, imports, peers and trust"),
    (event("elsewhere", namespace="kube-system"), "namespace of what it is about"),
]


async def test_the_policy_holds_the_controllers_account_to_its_own_events(light: Bed) -> None:
    """With the controller's token anybody's Events could be written and changed, which RBAC cannot forbid."""
    policy = component_folder(Component.EVENT_POLICY) / "policy.yaml"
    others = event("somebody-elses", reportingController="example.com/other")
    light.kubectl("alone", "apply", "-f", str(policy))
    try:
        async with light.client("alone") as kube:
            await kube.create(EVENTS, others)
            account = kube.acting_as(ACCOUNT)

            async def refused(attempt: Callable[[], Awaitable[object]]) -> str:
                try:
                    await attempt()
                except ApiError as error:
                    return str(error)
                return ""

            # It is in force a moment after it is there; names of their own, for each try may succeed.
            for _ in range(450):
                body = event(f"early-{uuid4().hex}", reportingController="kubelet")
                if "as itself" in await refused(lambda body=body: account.create(EVENTS, body)):  # type: ignore[misc]  # default
                    break
                await asyncio.sleep(0.2)
            for body, why in NOT_OURS:
                said = await refused(lambda body=body: account.create(EVENTS, body))  # type: ignore[misc]  # default
                assert why in said, body
            series = {"series": {"count": 2, "lastObservedTime": others["eventTime"]}}
            for patch in ({}, series):
                said = await refused(
                    lambda patch=patch: account.merge_patch(  # type: ignore[misc]  # default
                        EVENTS, "somebody-elses", patch, namespace=ELSEWHERE
                    )
                )
                assert "nobody else" in said, patch

            await account.create(EVENTS, event("ours"))
            await account.create(EVENTS, event("of-our-peer", namespace="default", regarding=PEER))
            await account.merge_patch(EVENTS, "ours", {}, namespace=ELSEWHERE)
            await account.merge_patch(EVENTS, "ours", series, namespace=ELSEWHERE)
            changed = {"note": "it was never exported"}
            said = await refused(lambda: account.merge_patch(EVENTS, "ours", changed, namespace=ELSEWHERE))
            assert "immutable" in said, "the API server sees to that by itself"
    finally:
        light.kubectl("alone", "delete", "-f", str(policy))

"""A hub and a member that leaves it, in memory: both halves of the leaving, turn by turn.

A turn is a look of the hub's loop, one of the agent's, what a deliverer and the peers would do meanwhile,
and a second (`pace`) of the clock. Whatever looks may be cut off at a write; then it is made anew, as after a
crash. The agent is refused as soon as its ClusterRole on the hub has gone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mesh_core.conditions import rfc3339
from mesh_core.leaving import WITHDRAWN
from mesh_core.names import ANNOTATION_LEAVING, TRUST_BUNDLE
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.cut_off import Cut, CutClient
from mesh_placement.agent.leaving import LeavingLoop, Member, Sides
from mesh_placement.agent.parting import has_left, remove_agent
from mesh_placement.decide.heart import Heart
from mesh_placement.decide.parting import OWN_OBJECTS, OWN_RIGHTS, OwnKind
from mesh_placement.hub.hearts import Hearts
from mesh_placement.hub.leave_loop import LeaveLoop
from mesh_placement.names import (
    FINALIZER,
    LABEL_CLUSTER,
    LABEL_CLUSTER_MANAGER,
    LABEL_DISTRIBUTED,
    LEASE,
    WORK_FINALIZER,
)
from mesh_placement.objects import ClusterIdentity
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.kube import LEASES, ApiError, Informer, KubeClient, Unreachable
from mesh_runtime.kube.client import Body

BROUGHT = {LABEL_DISTRIBUTED: "true"}
IDENTITY = ClusterIdentity(uid="kube-system-west", key_fingerprint="sha256:aa")
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_OURS = "/apis/placement.meshctl.dev/v1alpha1"
_STANDARD = "/apis/multicluster.x-k8s.io/v1alpha1"
_MESH = "/apis/meshctl.dev/v1alpha1"
REGISTRATION = f"{_OURS}/clusterregistrations/west"
_PLURALS: Mapping[OwnKind, str] = {
    OwnKind.SECRET: "/api/v1 secrets",
    OwnKind.DEPLOYMENT: "/apis/apps/v1 deployments",
    OwnKind.SERVICE_ACCOUNT: "/api/v1 serviceaccounts",
    OwnKind.ROLE: f"{_RBAC} roles",
    OwnKind.ROLE_BINDING: f"{_RBAC} rolebindings",
    OwnKind.CLUSTER_ROLE: f"{_RBAC} clusterroles",
    OwnKind.CLUSTER_ROLE_BINDING: f"{_RBAC} clusterrolebindings",
}


class _Ear(Hearts):
    """Hears a Lease as it is, by the world's clock."""

    def __init__(self, world: "LeavingWorld") -> None:
        super().__init__(Informer(world.hub.client(), LEASES), now=lambda: 0.0)
        self._world = world

    def of(self, namespace: str) -> Heart:
        lease = self._world.hub.peek(LEASES.path(LEASE, namespace=namespace))
        renewed = (lease or {}).get("spec", {}).get("renewTime")
        silent = self._world.now - datetime.fromisoformat(renewed) if renewed else timedelta()
        return Heart(renewed=bool(renewed), silent=silent.total_seconds(), seen=bool(renewed))


class _AgentsClient(CutClient):
    """The agent's way to the hub: refused without its rights."""

    def __init__(self, hub: FakeApiServer, *, cut: Cut) -> None:
        super().__init__(hub.client("agent"), cut=cut)
        self._hub = hub

    async def request(self, method: str, path: str, **more: Any) -> bytes:
        if self._hub.peek(f"{_RBAC}/clusterroles/placement-agent-west") is None:
            raise ApiError(status=403, reason="Forbidden", message="no rights")
        return await super().request(method, path, **more)


@dataclass
class LeavingWorld:
    """Make it, `await set_up()`, delete the registration, and take turns."""

    cut: Cut = field(default_factory=Cut)
    now: datetime = datetime(2026, 5, 1, 12, tzinfo=UTC)
    pace: timedelta = timedelta(seconds=1)
    agent_lives: bool = True
    peers_answer: bool = True
    is_applying: bool = True
    agent_is_gone: bool = False
    crashes: int = 0

    def __post_init__(self) -> None:
        self.hub = FakeApiServer(clock=lambda: self.now)
        self.member = FakeApiServer(clock=lambda: self.now)
        self.uid = ""

    async def set_up(self, *, leave: Mapping[str, Any] | None = None, annotations: Any = None) -> None:
        """A member that has joined and has two Works, beside somebody else's objects on both sides."""
        hub, member = self.hub.client(), self.member.client()
        for path, body in _hub_objects():
            await hub.request("POST", path, body=body)
        meta = {"name": "west", "finalizers": [FINALIZER], "annotations": annotations or {}}
        status = {
            "phase": "Ready",
            "namespace": "cluster-west",
            "token": "abcdef",
            "id": {"uid": IDENTITY.uid, "keyFingerprint": IDENTITY.key_fingerprint},
            "agent": {"agentVersion": "1"},
        }
        spec = {"clusterSet": "prod", "accepted": True, "driver": "token", "leave": leave or {}}
        made = await hub.create(CLUSTER_REGISTRATIONS, {"metadata": meta, "spec": spec, "status": status})
        self.uid = made.metadata.uid
        for path, body in _member_objects():
            await member.request("POST", path, body=body)
        self._start()

    async def leave(self) -> None:
        """What a person does."""
        await self.hub.client("person").delete(CLUSTER_REGISTRATIONS, "west")

    async def force(self) -> None:
        """And what a person does who cannot wait."""
        body = {"metadata": {"annotations": {"placement.meshctl.dev/force-leave": "true"}}}
        await self.hub.client("person").merge_patch(CLUSTER_REGISTRATIONS, "west", body)

    async def turn(self) -> None:
        """One turn."""
        await self._guarded(self._hub_looks)
        await self._deliver()
        if self.agent_lives and not self.agent_is_gone:
            await self._renew()
            await self._guarded(self._agent_looks)
        if self.peers_answer:
            await self._acknowledge()
        self.now += self.pace

    async def until_over(self, *, turns: int = 120) -> None:
        """Turns until the registration has gone, and the agent too where it lives."""
        for _ in range(turns):
            if self.hub.peek(REGISTRATION) is None and (self.agent_is_gone or not self.agent_lives):
                return
            await self.turn()
        raise AssertionError(f"not over: {self.hub.peek(REGISTRATION)} {self.member.paths()}")

    @property
    def registration(self) -> Any:
        """As it is, as JSON; None when it has gone."""
        return self.hub.peek(REGISTRATION)

    def _start(self) -> None:
        hub = CutClient(self.hub.client("hub"), cut=self.cut)
        registrations = Informer(hub, CLUSTER_REGISTRATIONS)
        self._leaves = LeaveLoop(hub, registrations=registrations, hearts=_Ear(self), clock=lambda: self.now)
        member = CutClient(self.member.client("agent"), cut=self.cut)
        sides = Sides(
            hub=_AgentsClient(self.hub, cut=self.cut),
            anonymous=self.hub.client("anonymous"),
            member=member,
            workers=lambda _user: member,
        )
        who = Member(cluster="west", uid=self.uid, namespace="cluster-west", own=IDENTITY)
        self._agent = LeavingLoop(
            sides,
            member=who,
            registrations=registrations,
            applying=self._applying,
            clock=lambda: self.now,
        )
        self._member_client: KubeClient = member

    async def _hub_looks(self) -> None:
        await self._leaves.look("west")

    async def _agent_looks(self) -> None:
        credential = "/api/v1/namespaces/meshctl-system/secrets/placement-hub-credential"
        if self.member.peek(credential) is None and await has_left(self._member_client):
            await remove_agent(self._member_client)
        else:
            await self._agent.look()
        deployment = self.member.peek("/apis/apps/v1/namespaces/meshctl-system/deployments/placement-agent")
        self.agent_is_gone = deployment is None

    async def _guarded(self, look: Any) -> None:
        try:
            await look()
        except Unreachable:
            self.crashes += 1
            self._start()
        except ApiError as error:
            # Somebody else was faster: the loop looks again.
            assert error.is_conflict, error

    async def _applying(self, may: bool) -> None:
        self.is_applying = may

    async def _renew(self) -> None:
        lease = self.hub.peek("/apis/coordination.k8s.io/v1/namespaces/cluster-west/leases/agent")
        if lease is not None:
            body = {"spec": {"renewTime": self.now.strftime("%Y-%m-%dT%H:%M:%S.000000Z")}}
            await self.hub.client("agent").merge_patch(LEASES, "agent", body, namespace="cluster-west")

    async def _deliver(self) -> None:
        """As the deliverer does it: what a Work brought goes, then its inventory, then our finalizer."""
        if not (self.agent_lives and self.is_applying):
            return
        hub, member = self.hub.client("deliverer"), self.member.client("deliverer")
        for name, path in (("a", "/apis/apps/v1/namespaces/shop/deployments/cart"), ("b", "")):
            work = f"{_STANDARD}/namespaces/cluster-west/works/{name}"
            seen = self.hub.peek(work)
            if seen is None or not seen["metadata"].get("deletionTimestamp"):
                continue
            for gone in (path, f"{_STANDARD}/appliedworks/{name}"):
                if gone and self.member.peek(gone) is not None:
                    await member.request("DELETE", gone)
            await hub.request("PATCH", work, body={"metadata": {"finalizers": []}})

    async def _acknowledge(self) -> None:
        bundle = self.member.peek(f"{_MESH}/trustbundles/{TRUST_BUNDLE}")
        peer = self.member.peek(f"{_MESH}/meshpeers/east")
        since = bundle["metadata"].get("annotations", {}).get(ANNOTATION_LEAVING) if bundle else None
        if since and peer is not None and "status" not in peer:
            shown = {
                "type": WITHDRAWN,
                "status": "True",
                "reason": "Acknowledged",
                "message": f"this cluster leaves since {since}",
                "lastTransitionTime": rfc3339(self.now),
            }
            await self.member.client("controller").request(
                "PATCH", f"{_MESH}/meshpeers/east/status", body={"status": {"conditions": [shown]}}
            )


def _hub_objects() -> list[tuple[str, Body]]:
    found: list[tuple[str, Body]] = [
        (f"{_OURS}/clustersets", {"metadata": {"name": "prod"}, "spec": {"profileNamespace": "profiles"}}),
        (
            f"{_OURS}/clusterregistrations",
            {**_named("east"), "spec": {"clusterSet": "prod"}, "status": {"namespace": "cluster-east"}},
        ),
        ("/api/v1/namespaces/kube-system/secrets", _named("bootstrap-token-abcdef", space="kube-system")),
    ]
    for cluster in ("west", "east"):
        space, labels = f"cluster-{cluster}", {LABEL_CLUSTER: cluster}
        inside = [
            "/apis/coordination.k8s.io/v1 leases agent",
            "/api/v1 secrets access",
            "/api/v1 serviceaccounts agent",
            f"{_RBAC} roles placement-agent-{cluster}",
            f"{_RBAC} rolebindings placement-agent-{cluster}",
            f"{_OURS} clustercapacities capacity",
            f"{_OURS} clusterlinks links",
            f"{_OURS} assignments by-hand",
            f"{_STANDARD} works a",
            f"{_STANDARD} works b",
        ]
        found.append(("/api/v1/namespaces", {"metadata": {"name": space, "labels": labels}}))
        for line in inside:
            root, plural, name = line.split()
            body = _named(name, space=space, labels=labels)
            if plural == "works":
                body["metadata"]["finalizers"] = [WORK_FINALIZER]
            spec = {"renewTime": "2026-05-01T11:59:59.000000Z"} if plural == "leases" else {}
            if plural == "clusterlinks":
                other = "east" if cluster == "west" else "west"
                body["status"] = {"peers": [{"cluster": other, "state": "Up"}]}
            found.append((f"{root}/namespaces/{space}/{plural}", {**body, "spec": spec}))
        for plural in ("clusterroles", "clusterrolebindings"):
            found.append((f"{_RBAC}/{plural}", _named(f"placement-agent-{cluster}", labels=labels)))
        profile = _named(cluster, space="profiles", labels={LABEL_CLUSTER_MANAGER: "clusterset-mesh"})
        manager = {"clusterManager": {"name": "clusterset-mesh"}}
        found.append((f"{_STANDARD}/namespaces/profiles/clusterprofiles", {**profile, "spec": manager}))
    return found


def _member_objects() -> list[tuple[str, Body]]:
    found: list[tuple[str, Body]] = [
        ("/api/v1/namespaces", _named("shop")),
        ("/apis/apps/v1/namespaces/shop/deployments", _named("cart", space="shop", labels=BROUGHT)),
        ("/api/v1/namespaces/shop/configmaps", _named("settings", space="shop", labels=BROUGHT)),
        ("/api/v1/namespaces/shop/configmaps", _named("theirs", space="shop")),
        (f"{_MESH}/trustbundles", {**_named(TRUST_BUNDLE), "spec": {"domain": "mesh.test", "roots": []}}),
        (f"{_MESH}/meshpeers", {**_named("east"), "spec": {"gateways": []}}),
    ]
    inventory = {
        "a": [("apps", "v1", "deployments", "cart")],
        # Of no Work on the hub any more: what an agent finds that was cut off before.
        "z": [("", "v1", "configmaps", "settings")],
    }
    for name, brought in inventory.items():
        resources = [
            {"ordinal": 0, "group": g, "version": v, "resource": r, "namespace": "shop", "name": n}
            for g, v, r, n in brought
        ]
        body = {
            **_named(name),
            "spec": {"workName": name, "workNamespace": "cluster-west"},
            "status": {"appliedResources": resources},
        }
        found.append((f"{_STANDARD}/appliedworks", body))
    for one in (*OWN_OBJECTS, *(one for pair in OWN_RIGHTS for one in pair)):
        root, plural = _PLURALS[one.kind].split()
        middle = f"/namespaces/{one.namespace}" if one.namespace else ""
        found.append((f"{root}{middle}/{plural}", _named(one.name, space=one.namespace)))
    return found


def _named(name: str, *, space: str = "", labels: Any = None) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "labels": labels or {}}
    if space:
        meta["namespace"] = space
    return {"metadata": meta}

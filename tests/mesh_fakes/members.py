"""Members of a clusterset whose controllers are real, over API servers in memory and streams on loopback.

A peer's gateway is left out: MeshPeer points at the peer's controller itself.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from mesh_controller.controller import Controller, Trust
from mesh_controller.intermediate_source import IntermediateSource
from mesh_controller.main import bound_socket
from mesh_core.identity import cluster_id
from mesh_core.names import (
    GATEWAY,
    INTERMEDIATE_SECRET,
    LABEL_KUBERNETES_SERVICE,
    LABEL_SERVICE_NAME,
    LABEL_SOURCE_CLUSTER,
    PROPERTY_CLUSTER_ID,
    PROPERTY_NETWORK,
    SYSTEM_NAMESPACE,
    TRUST_BUNDLE,
)
from mesh_core.objects import Condition, EndpointSlice, MeshPeer, ServiceImport, TrustBundle
from mesh_core.objects.trust import LocalRefusal, Signed
from mesh_core.signing import CONTROLLER_ACCOUNT
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.member_api import MemberApi
from mesh_fakes.under_way import under_way
from mesh_runtime.approval import approve_intermediate
from mesh_runtime.intermediate import CERTIFICATE, KEY, SECRET_TYPE
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    ENDPOINT_SLICES,
    MESH_PEERS,
    SECRETS,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
    TRUST_BUNDLES,
)
from mesh_runtime.membership import MembershipSource
from mesh_runtime.pem import certificates_to_pem, key_to_pem

GATEWAY_PODS = ("10.1.0.8", "10.1.0.9")


@dataclass(slots=True)
class Member:
    """One cluster: its API server, and where its controller's stream answers while one runs."""

    name: str
    clusterset: FakeClusterset
    api: MemberApi
    port: int = 0
    controllers: list[Controller] = field(default_factory=list)

    def knows(
        self, peer: "Member", *, port: int | None = None, spec: Mapping[str, Any] | None = None
    ) -> None:
        """Somebody makes a MeshPeer for `peer` (Any: whatever else its spec shall say)."""
        gateways = [{"host": "127.0.0.1", "port": peer.port if port is None else port}]
        body = {"metadata": {"name": peer.name}, "spec": {"gateways": gateways, **(spec or {})}}
        self.api.put(MESH_PEERS, body)

    def network(self, name: str) -> None:
        """Somebody says on which network this cluster is."""
        self.api.put(CLUSTER_PROPERTIES, {"metadata": {"name": PROPERTY_NETWORK}, "spec": {"value": name}})

    def peer(self, name: str) -> MeshPeer | None:
        return self.api.find(MESH_PEERS, name)

    def connected(self, name: str) -> Condition | None:
        """The condition `Connected` of the MeshPeer."""
        return self.peer_condition(name, "Connected")

    def peer_condition(self, name: str, kind: str) -> Condition | None:
        """One condition of the MeshPeer."""
        peer = self.peer(name)
        found = peer.status.conditions if peer is not None else ()
        return next((condition for condition in found if condition.type == kind), None)

    def service(self, name: str = "hello", *, namespace: str = "demo", port: int = 80, **spec: Any) -> None:
        """Somebody's Service (Any: whatever fields it shall have)."""
        ports = [{"name": "http", "port": port, "protocol": "TCP"}]
        body = {"metadata": {"namespace": namespace, "name": name}, "spec": {"ports": ports, **spec}}
        self.api.put(SERVICES, body)

    def endpoints(
        self,
        *addresses: str,
        name: str = "hello",
        namespace: str = "demo",
        ready: bool = True,
        port: int = 8080,
    ) -> None:
        """What the EndpointSlice controller would write for the Service's pods."""
        self.api.put(
            ENDPOINT_SLICES,
            {
                "metadata": {
                    "namespace": namespace,
                    "name": f"{name}-abcde",
                    "labels": {LABEL_KUBERNETES_SERVICE: name},
                },
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
                "endpoints": [{"addresses": [a], "conditions": {"ready": ready}} for a in addresses],
            },
        )

    def export(self, name: str = "hello", *, namespace: str = "demo", **metadata: Any) -> None:
        """Somebody's ServiceExport (Any: whatever metadata it shall have)."""
        self.api.put(SERVICE_EXPORTS, {"metadata": {"namespace": namespace, "name": name, **metadata}})

    def unexport(self, name: str = "hello", *, namespace: str = "demo") -> None:
        self.api.remove(SERVICE_EXPORTS, name, namespace=namespace)

    def imported(self, name: str = "hello", *, namespace: str = "demo") -> ServiceImport | None:
        return self.api.find(SERVICE_IMPORTS, name, namespace=namespace)

    def slices(self, source: str, *, name: str = "hello", namespace: str = "demo") -> list[EndpointSlice]:
        """The slices of the import with endpoints of `source`."""
        wanted = {LABEL_SERVICE_NAME: name, LABEL_SOURCE_CLUSTER: source}
        return [
            piece
            for piece in self.api.all(ENDPOINT_SLICES)
            if piece.metadata.namespace == namespace and wanted.items() <= piece.metadata.labels.items()
        ]

    def export_condition(
        self, kind: str, *, name: str = "hello", namespace: str = "demo"
    ) -> Condition | None:
        export = self.api.find(SERVICE_EXPORTS, name, namespace=namespace)
        found = export.status.conditions if export is not None else ()
        return next((condition for condition in found if condition.type == kind), None)

    def gateways(self, addresses: Sequence[str]) -> None:
        """The ready gateway pods of this cluster."""
        self.endpoints(*addresses, name=GATEWAY, namespace=SYSTEM_NAMESPACE, port=15443)

    def has_intermediate(self) -> None:
        """It was let in before, with the key and the certificate that the clusterset knows of it now."""
        authority = self.clusterset.member(self.name)
        data = {KEY: key_to_pem(authority.key), CERTIFICATE: certificates_to_pem((authority.certificate,))}
        body = {
            "metadata": {"namespace": SYSTEM_NAMESPACE, "name": INTERMEDIATE_SECRET},
            "type": SECRET_TYPE,
            "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
        }
        self.api.put(SECRETS, body)

    def trusts(
        self,
        statement: Signed | None = None,
        *,
        revocations: Signed | None = None,
        refused_here: Sequence[LocalRefusal] = (),
    ) -> None:
        """Its operator writes these into the spec of the TrustBundle; what is None stays."""
        spec: dict[str, Any] = {}
        if statement is not None:
            spec["statement"] = msgspec.to_builtins(statement)
            spec["generation"] = int(msgspec.json.decode(statement.text)["generation"])
        if revocations is not None:
            spec["revocations"] = msgspec.to_builtins(revocations)
        if refused_here:
            spec["refusedHere"] = msgspec.to_builtins(tuple(refused_here))
        self.api.put(TRUST_BUNDLES, {"metadata": {"name": TRUST_BUNDLE}, "spec": spec})

    @property
    def bundle(self) -> TrustBundle:
        """What it trusts, as the object says."""
        found = self.api.find(TRUST_BUNDLES, TRUST_BUNDLE)
        assert found is not None
        return found

    @asynccontextmanager
    async def running(self, *, replica: str = "") -> AsyncIterator[Controller]:
        """Its controller, until the block ends; the intermediate is approved when it is asked for."""
        kube = self.api.client(CONTROLLER_ACCOUNT)
        membership = MembershipSource(kube)
        source = IntermediateSource(kube, membership=membership)
        with bound_socket(0) as listener:
            self.port = listener.getsockname()[1]
            async with under_way(membership.run(), source.run()):
                member = await membership.after(None)
                assert member is not None
                controller = Controller(
                    kube,
                    membership=member,
                    trust=Trust(membership, source),
                    listener=listener,
                    name=f"{self.name}{replica}",
                )
                async with under_way(controller.run(), self._approve(source)):
                    yield controller

    async def _approve(self, source: IntermediateSource) -> None:
        """What the person with the root does, once."""
        async with asyncio.timeout(90):
            while source.authority is None:
                secret = source.secret
                if secret is not None and CERTIFICATE not in secret.data:
                    await approve_intermediate(
                        self.api.client(),
                        root=self.clusterset.root,
                        cluster=cluster_id(self.name),
                        domain=self.clusterset.domain,
                        limit=20,
                    )
                    await source.authority_after(None)
                await asyncio.sleep(0.01)


def new_member(
    name: str,
    *,
    clusterset: FakeClusterset,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    namespaces: Sequence[str] = ("demo",),
    uid: str = "",
    statement: Signed | None = None,
) -> Member:
    """A member with two gateway pods and nothing exported; its namespaces have the UID `<uid>-<name>`.

    With a `statement` it was let in before, and that is what its operator has written of trust.
    """
    api = MemberApi(clock=clock, service_range=f"10.{96 + len(name)}.0")
    member = Member(name, clusterset, api)
    for namespace in ("kube-system", SYSTEM_NAMESPACE, *namespaces):
        api.namespace(namespace, uid=f"{uid or name}-{namespace}")
    api.put(CLUSTER_PROPERTIES, {"metadata": {"name": PROPERTY_CLUSTER_ID}, "spec": {"value": name}})
    spec = {"domain": clusterset.domain, "generation": 1, "roots": list(clusterset.roots)}
    api.put(TRUST_BUNDLES, {"metadata": {"name": TRUST_BUNDLE}, "spec": spec})
    member.gateways(GATEWAY_PODS)
    if statement is not None:
        member.has_intermediate()
        member.trusts(statement)
    return member

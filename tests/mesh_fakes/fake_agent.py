"""A member's agent made of API calls: it claims, renews its Lease and reports, and nothing of it waits."""

import base64
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mesh_core.objects import CertificateSigningRequest, Condition
from mesh_placement.names import (
    AGENT_MANAGER,
    ANNOTATION_CLOCK,
    ANNOTATION_CLUSTER_UID,
    ANNOTATION_MODE,
    CLAIM_LIFE_SECONDS,
    CLAIM_USAGES,
    LABEL_CLUSTER,
    LEASE,
    SIGNER_CLAIM,
    SIGNER_CLIENT,
    claim_name,
    cluster_namespace,
    key_group,
    renewal_name,
)
from mesh_placement.objects import Driver
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.kube import CSRS, LEASES, KubeClient
from mesh_runtime.pki import new_key
from mesh_runtime.trust_signing import key_id_of


@dataclass(slots=True)
class FakeAgent:
    """The agent of `cluster`, with a key of its own."""

    cluster: str
    driver: Driver = "token"
    uid: str = ""
    mode: str = "Manual"
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key, repr=False)

    @property
    def fingerprint(self) -> str:
        return f"sha256:{key_id_of(self.key.public_key())}"

    @property
    def claim_name(self) -> str:
        return claim_name(self.cluster, fingerprint=self.fingerprint)

    async def claim(
        self, hub: KubeClient, *, now: datetime, suffix: str = "", clock: datetime | None = None
    ) -> CertificateSigningRequest:
        """Post a claim as who `hub` is."""
        return await self._ask(hub, self.claim_name + suffix, clock=clock or now)

    async def renew(self, hub: KubeClient, *, now: datetime) -> CertificateSigningRequest:
        """Post a renewal as who `hub` is."""
        return await self._ask(hub, renewal_name(self.cluster, fingerprint=self.fingerprint), clock=now)

    async def beat(self, hub: KubeClient, *, now: datetime) -> None:
        """Renew the Lease once."""
        spec = {"holderIdentity": self.cluster, "renewTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        namespace = cluster_namespace(self.cluster)
        await hub.merge_patch(LEASES, LEASE, {"spec": spec}, namespace=namespace)

    async def report(self, hub: KubeClient, *, kubernetes: str = "v1.37.0") -> None:
        """Say version and APIs."""
        agent = {"kubernetes": kubernetes, "apis": ["v1", "apps/v1"]}
        body = {"metadata": {"name": self.cluster}, "status": {"agent": agent}}
        await hub.apply(CLUSTER_REGISTRATIONS, body, field_manager=AGENT_MANAGER, subresource="status")

    async def _ask(self, hub: KubeClient, name: str, *, clock: datetime) -> CertificateSigningRequest:
        is_csr = self.driver == "csr"
        body = {
            "metadata": {
                "name": name,
                "labels": {LABEL_CLUSTER: self.cluster},
                "annotations": {
                    ANNOTATION_CLUSTER_UID: self.uid or f"uid-of-{self.cluster}",
                    ANNOTATION_MODE: self.mode,
                    ANNOTATION_CLOCK: clock.isoformat(),
                },
            },
            "spec": {
                "request": base64.b64encode(self.request_pem()).decode(),
                "signerName": SIGNER_CLIENT if is_csr else SIGNER_CLAIM,
                "usages": list(CLAIM_USAGES),
                **({"expirationSeconds": CLAIM_LIFE_SECONDS} if is_csr else {}),
            },
        }
        return await hub.create(CSRS, body)

    def request_pem(self) -> bytes:
        """The request, signed by its key."""
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "meshctl:clusters"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, key_group(self.fingerprint)),
                x509.NameAttribute(NameOID.COMMON_NAME, f"meshctl:cluster:{self.cluster}"),
            ]
        )
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def answers(request: CertificateSigningRequest) -> dict[str, str]:
    """Type and reason of each condition."""
    return {one.type: one.reason for one in request.status.conditions}


def states(conditions: tuple[Condition, ...]) -> dict[str, str]:
    """Type and status of each condition."""
    return {one.type: one.status for one in conditions}

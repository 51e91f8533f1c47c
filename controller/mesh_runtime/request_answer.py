"""Answers to a CertificateSigningRequest, as the API server takes them (certificates.k8s.io/v1).

Approved and Denied go through the subresource `approval`, Failed and the certificate through `status`.
Each answer holds only for the request as it was looked at: a newer one is refused as a conflict
(`ApiError.is_conflict`). Needs the verb `patch` on the subresource, and `approve` or `sign` on the
signer (`signers.certificates.k8s.io`, resourceName the signer's name).
"""

import base64

from mesh_core.names import MANAGER
from mesh_core.objects import CertificateSigningRequest
from mesh_runtime.kube import CSRS, KubeClient
from mesh_runtime.kube.client import Body


async def approve(
    kube: KubeClient, request: CertificateSigningRequest, *, message: str
) -> CertificateSigningRequest:
    """Mark it as approved; returns the request as it is then."""
    body = _with_condition(request, kind="Approved", reason="ApprovedByMeshctl", message=message)
    return await kube.merge_patch(CSRS, request.metadata.name, body, subresource="approval")


async def deny(kube: KubeClient, request: CertificateSigningRequest, *, reason: str, message: str) -> None:
    """Mark it as denied, for good; only for one that is not approved."""
    body = _with_condition(request, kind="Denied", reason=reason, message=message)
    await kube.merge_patch(CSRS, request.metadata.name, body, subresource="approval")


async def fail(kube: KubeClient, request: CertificateSigningRequest, *, reason: str, message: str) -> None:
    """Mark it as failed, for good: approved by somebody, but not to be signed."""
    body = _with_condition(request, kind="Failed", reason=reason, message=message)
    await kube.merge_patch(CSRS, request.metadata.name, body, subresource="status")


async def give(kube: KubeClient, request: CertificateSigningRequest, *, chain_pem: bytes) -> None:
    """Answer an approved request with its certificate, the issuer's behind it."""
    body = {
        "metadata": {"resourceVersion": request.metadata.resource_version},
        "status": {"certificate": base64.b64encode(chain_pem).decode()},
    }
    await kube.merge_patch(CSRS, request.metadata.name, body, subresource="status")


def _with_condition(request: CertificateSigningRequest, *, kind: str, reason: str, message: str) -> Body:
    """The patch that adds a condition to those that are there: a merge patch replaces the whole list."""
    standing = [
        {
            "type": condition.type,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message,
        }
        for condition in request.status.conditions
    ]
    new = {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": f"{message} ({MANAGER})",
    }
    return {
        "metadata": {"resourceVersion": request.metadata.resource_version},
        "status": {"conditions": [*standing, new]},
    }

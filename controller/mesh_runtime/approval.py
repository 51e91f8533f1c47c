"""Signing the intermediate of a cluster, by whoever holds the root key: `meshctl join` and `trust approve`.

1. Only a request that the API server says came from the controller's own ServiceAccount is signed.
2. Only for the cluster id that the person named: the request's wish must be that cluster's controller.
3. Of the request, the public key alone goes into the certificate (law 1 of `pki`).
"""

from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.errors import EnvironmentFault, UserError
from mesh_core.identity import ClusterId, Component, Domain, Identity, NotAnIdentity, sole_identity
from mesh_core.names import CONTROLLER, SIGNER_INTERMEDIATE, SYSTEM_NAMESPACE
from mesh_core.objects import CertificateSigningRequest
from mesh_core.signing import is_approved, open_intermediate
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import CSRS, Informer, KubeClient
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import Authority, make_intermediate
from mesh_runtime.request_answer import approve, give
from mesh_runtime.sighting import sighting
from mesh_runtime.signing_request import ReadRequest, request_in


class NoRequest(EnvironmentFault):
    """The controller did not ask for an intermediate in time."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__(
            f"{CONTROLLER} did not ask for its certificate in {seconds:.0f} s",
            next_step=f"look at its pods: kubectl -n {SYSTEM_NAMESPACE} get pods",
        )


class WrongCluster(UserError):
    """The cluster that was reached is not the one that was named."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The controller's open request, and the key that it is for."""

    request: CertificateSigningRequest
    public_key: ec.EllipticCurvePublicKey


async def asked_intermediate(kube: KubeClient, *, cluster: ClusterId, domain: Domain, limit: float) -> Asked:
    """Wait at most `limit` seconds for the controller's open request.

    Raises NoRequest, WrongCluster, BadRequest, ApiError or Unreachable.
    """
    request = await _open_request(kube, limit=limit)
    read = request_in(request)
    check_wish(read, cluster=cluster, domain=domain)
    return Asked(request, read.public_key)


async def answer(kube: KubeClient, asked: Asked, *, certificate: x509.Certificate, message: str) -> None:
    """Approve the request with `message`, and give it its certificate.

    The API server stamps who made a request, so the caller's own permissions decide what may be
    approved: `update` or `patch` on the approval and status of requests, and `approve` and `sign` on
    the signer. Raises ApiError or Unreachable.
    """
    request = asked.request
    if not is_approved(request):
        request = await approve(kube, request, message=message)
    await give(kube, request, chain_pem=certificates_to_pem((certificate,)))


async def approve_intermediate(
    kube: KubeClient,
    *,
    root: Authority,
    cluster: ClusterId,
    domain: Domain,
    limit: float,
    clock: Clock = utc_now,
) -> x509.Certificate:
    """Both at once, for a clusterset without a roster; the certificate given. Raises as they do."""
    asked = await asked_intermediate(kube, cluster=cluster, domain=domain, limit=limit)
    certificate = make_intermediate(
        root, cluster=cluster, domain=domain, public_key=asked.public_key, now=clock()
    )
    await answer(kube, asked, certificate=certificate, message=f"{cluster} is a member of {domain}")
    return certificate


async def _open_request(kube: KubeClient, *, limit: float) -> CertificateSigningRequest:
    informer = Informer(kube, CSRS, fields=f"spec.signerName={SIGNER_INTERMEDIATE}")

    def look() -> CertificateSigningRequest | None:
        return open_intermediate(informer.values())

    request = await sighting(informer, look=look, limit=limit)
    if request is None:
        raise NoRequest(seconds=limit)
    return request


def check_wish(read: ReadRequest, *, cluster: ClusterId, domain: Domain) -> None:
    """Raises WrongCluster unless the request is of the controller of that cluster."""
    wanted = Identity(cluster=cluster, component=Component.CONTROLLER, domain=domain)
    try:
        wish = sole_identity(read.uris, domain=wanted.domain)
    except NotAnIdentity as error:
        raise WrongCluster(
            f"the controller asks for no identity in {wanted.domain} ({error.what})",
            next_step="check its TrustBundle; meshctl join or accept writes it",
        ) from error
    if replace(wish, pool="") != wanted:
        # Whom an issuer let in asks in its pool; who names it here admits it without one.
        raise WrongCluster(
            f"the controller asks to be {wish}, not {wanted}",
            next_step="check the kubeconfig context and the ClusterProperty of that cluster",
        )

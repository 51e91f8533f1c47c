"""A leaf by way of the cluster's API: CertificateSigningRequest with the signer `meshctl.dev/leaf`.

1. The key is made for one request, stays in memory and is never written anywhere.
2. The request is watched by its one name, and waited for; the signer removes it when it is old.
3. What comes back must belong to the key; whether it will be believed is `leaf`'s to try.
"""

import base64

from mesh_core.errors import EnvironmentFault
from mesh_core.identity import Identity
from mesh_core.lifetimes import LEAF_LIFE
from mesh_core.names import CONTROLLER, SIGNER_LEAF
from mesh_core.objects import CertificateSigningRequest
from mesh_core.signing import LEAF_USAGES, Issued, Refused, outcome
from mesh_runtime.kube import CSRS, Informer, KubeClient
from mesh_runtime.pem import key_to_pem
from mesh_runtime.pki import new_key
from mesh_runtime.sighting import sighting
from mesh_runtime.signing_request import make_request
from mesh_runtime.tls import Credentials

# Seconds for the controller to answer before another request is made: less than REQUEST_LIFE, so that at
# most two requests of a pod lie there, and long, because a cluster may wait for its intermediate.
ANSWER_LIMIT = 600.0


class NotSigned(EnvironmentFault):
    """The controller did not sign our request."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"{SIGNER_LEAF} gave no certificate ({why})",
            next_step=f"look at the log and the readiness of {CONTROLLER}",
        )


class RequestedLeaf:
    """Gets leaves from this cluster's controller. The API server tells it who asks."""

    def __init__(self, kube: KubeClient, *, limit: float = ANSWER_LIMIT) -> None:
        self._kube = kube
        self._limit = limit

    async def issue(self, identity: Identity) -> Credentials:
        """Credentials with a fresh key; raises NotSigned, ApiError or Unreachable."""
        key = new_key()
        name = await self._ask(identity, request=make_request(key, identity=identity))
        match await self._answer(name):
            case Issued(chain_pem=chain):
                return Credentials(key_pem=key_to_pem(key), chain_pem=chain)
            case Refused(why=why):
                raise NotSigned(why)
            case None:
                raise NotSigned(f"no answer in {self._limit:.0f} s")

    async def _ask(self, identity: Identity, *, request: bytes) -> str:
        """Post the request; its name, of which the API server makes the end."""
        body = {
            "metadata": {"generateName": f"meshctl-{identity.component.value}-"},
            "spec": {
                "signerName": SIGNER_LEAF,
                "request": base64.b64encode(request).decode(),
                "usages": list(LEAF_USAGES),
                "expirationSeconds": int(LEAF_LIFE.total_seconds()),
            },
        }
        return (await self._kube.create(CSRS, body)).metadata.name

    async def _answer(self, name: str) -> Issued | Refused | None:
        informer = Informer(self._kube, CSRS, fields=f"metadata.name={name}")

        def look() -> Issued | Refused | None:
            request: CertificateSigningRequest | None = informer.get(name)
            return Refused("the request was deleted") if request is None else outcome(request)

        return await sighting(informer, look=look, limit=self._limit)

"""The agent's key and credential, kept in the member: Secret AGENT_CREDENTIAL.

The key is written before it is used for the first time, so that an agent that was killed comes back as the
same cluster.
"""

import base64

from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_placement.decide.credential import KEY, Credential, Kept, read_kept, secret_data
from mesh_placement.names import AGENT_CREDENTIAL, AGENT_MANAGER
from mesh_runtime.kube import SECRETS, KubeClient
from mesh_runtime.pem import UnreadablePem, key_from_pem, key_to_pem
from mesh_runtime.pki import new_key


class CredentialBook:
    """What the agent in the cluster of `member` shows to its hub."""

    def __init__(self, member: KubeClient) -> None:
        self._member = member

    async def kept(self) -> Kept:
        """What is there."""
        return read_kept(await self._member.find(SECRETS, AGENT_CREDENTIAL, namespace=SYSTEM_NAMESPACE))

    async def key(self) -> ec.EllipticCurvePrivateKey:
        """The key, made now if there is none that reads; raises ApiError and Unreachable."""
        secret = await self._member.find(SECRETS, AGENT_CREDENTIAL, namespace=SYSTEM_NAMESPACE)
        try:
            return key_from_pem(read_kept(secret).key, what=f"the key in Secret {AGENT_CREDENTIAL}")
        except UnreadablePem:
            pass
        key = new_key()
        data = {KEY: base64.b64encode(key_to_pem(key)).decode()}
        if secret is None:
            meta = {"name": AGENT_CREDENTIAL, "namespace": SYSTEM_NAMESPACE}
            await self._member.create(SECRETS, {"metadata": meta, "data": data}, field_manager=AGENT_MANAGER)
        else:
            await self._patch(data)
        return key

    async def store(self, credential: Credential) -> None:
        """Keep `credential` beside the key, which must be there."""
        await self._patch(secret_data(credential))

    async def _patch(self, data: dict[str, str]) -> None:
        await self._member.merge_patch(SECRETS, AGENT_CREDENTIAL, {"data": data}, namespace=SYSTEM_NAMESPACE)

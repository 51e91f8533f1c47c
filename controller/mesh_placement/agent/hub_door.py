"""The way to the hub: with the bootstrap token while joining, with the agent's own credential afterwards."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.decide.credential import Credential
from mesh_runtime.kube import KubeClient, connect_to
from mesh_runtime.tls import Credentials


class HubDoor(Protocol):
    """Opens clients for the hub; a test gives its own."""

    def with_token(
        self, settings: HubSettings, *, token: Callable[[], str]
    ) -> AbstractAsyncContextManager[KubeClient]:
        """A client that shows what `token` gives, asked at each request."""

    def with_certificate(
        self, settings: HubSettings, *, certificate: str, key: bytes
    ) -> AbstractAsyncContextManager[KubeClient]:
        """A client that shows a client certificate; both in PEM."""


class RealDoor:
    """HTTPS, verified by the CA in the settings."""

    def with_token(
        self, settings: HubSettings, *, token: Callable[[], str]
    ) -> AbstractAsyncContextManager[KubeClient]:
        return connect_to(settings.server, ca=settings.ca, token=token)

    def with_certificate(
        self, settings: HubSettings, *, certificate: str, key: bytes
    ) -> AbstractAsyncContextManager[KubeClient]:
        shown = Credentials(key_pem=key, chain_pem=certificate.encode())
        return connect_to(settings.server, ca=settings.ca, credentials=shown)


def own_door(
    door: HubDoor, settings: HubSettings, *, credential: Callable[[], Credential], key: bytes
) -> AbstractAsyncContextManager[KubeClient]:
    """A client with the agent's own credential, whichever it is; of a token always the newest one."""
    now = credential()
    if now.token:
        return door.with_token(settings, token=lambda: credential().token)
    return door.with_certificate(settings, certificate=now.certificate, key=key)

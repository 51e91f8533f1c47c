"""Who the hub is, asked by somebody who has nothing but its address and the hash of its CA.

1. What is read before the CA is known is believed in nothing but that CA, and that by its hash.
2. The same is read again from a server that the CA has signed; only what that one says goes on.
3. Nothing secret is sent before.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from mesh_cli.hub.objects import PUBLIC_NAMESPACE, HubInfo, info_in
from mesh_core.errors import UserError
from mesh_placement.names import HUB_INFO
from mesh_runtime.ca_pins import believing, believing_anybody, pinned
from mesh_runtime.kube import CONFIG_MAPS, ApiError, KubeClient, connect_at


class BadAddress(UserError):
    """What was given as an API server's address is none that can be used."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text[:200]!r} is no address of an API server",
            next_step="write it like https://hub.example:6443",
        )


class NotPublic(UserError):
    """The hub does not say who it is to somebody without a credential."""

    def __init__(self, server: str) -> None:
        super().__init__(
            f"the API server at {server} does not let those who want to join read who it is",
            next_step="have it allow anonymous requests (at least to this ConfigMap), or give the hub's CA "
            "in a file with --ca-file",
        )


def parse_server(text: str) -> str:
    """The URL of an API server, without a slash at its end; raises BadAddress."""
    try:
        parts = urlsplit(text.strip())
        good = parts.scheme == "https" and bool(parts.hostname) and not (parts.query or parts.fragment)
        _ = parts.port
    except ValueError:
        good = False
    if not good or parts.username is not None:
        raise BadAddress(text)
    return parts.geturl().rstrip("/")


async def read_info(client: KubeClient, *, where: str) -> HubInfo:
    """What the hub behind `client` says of itself; raises NoHub."""
    found = await client.find(CONFIG_MAPS, HUB_INFO, namespace=PUBLIC_NAMESPACE)
    return info_in(found, where=where)


async def known_hub(server: str, *, pins: Collection[str]) -> HubInfo:
    """The hub at `server`, which has shown that it is the one whose CA a pin names.

    Raises ca_pins.WrongCa, NotPublic, NoHub, Unreachable.
    """
    try:
        async with connect_at(server, tls=believing_anybody()) as client:
            claimed = await read_info(client, where=server)
        named = pinned(claimed.ca, pins=pins, what=f"the hub at {server}")
        async with connect_at(server, tls=believing(named)) as client:
            info = await read_info(client, where=server)
    except ApiError as error:
        if error.status in (401, 403):
            raise NotPublic(server) from error
        raise
    pinned(info.ca, pins=pins, what=f"the hub at {server}")
    return HubInfo(server=server, ca=info.ca)

"""Keeps the address of mesh-dns's Service when the Service is made again.

Cluster DNS resolves no names to find us: it has our ClusterIP written down. A Service that was deleted and
comes back with another address would be asked nothing until every Corefile, also one written by hand, has the
new one.
"""

from ipaddress import ip_address
from typing import Any, Final

from mesh_cli.dns.cluster_dns import read_config
from mesh_cli.dns.zone import CoreDnsConfig, served
from mesh_cli.install.kustomize import Manifest
from mesh_cli.session import FIELD_MANAGER
from mesh_core.names import DNS, SYSTEM_NAMESPACE
from mesh_runtime.kube import SERVICES, ApiError, KubeClient

_INVALID: Final = 422


def is_dns_service(manifest: Manifest) -> bool:
    """Whether it is the Service that cluster DNS asks."""
    return (manifest["kind"], manifest["metadata"]["name"]) == ("Service", DNS)


async def apply_dns_service(client: KubeClient, manifest: Manifest) -> None:
    """Apply the Service; one that is not there asks for the addresses that cluster DNS sends to.

    Where these are no longer to be had (somebody else's, or out of range) it takes what it is given.
    """
    if await client.find(SERVICES, DNS, namespace=SYSTEM_NAMESPACE) is None:
        config = await read_config(client)
        known = named_addresses(config) if config is not None else ()
        if known:
            try:
                await client.apply_manifest(with_addresses(manifest, known), field_manager=FIELD_MANAGER)
                return
            except ApiError as error:
                if error.status != _INVALID:
                    raise
    await client.apply_manifest(manifest, field_manager=FIELD_MANAGER)


def named_addresses(config: CoreDnsConfig) -> tuple[str, ...]:
    """Where CoreDNS sends the clusterset's zone, when that could be a Service: one address or two, no
    ports.
    """
    targets = served(config).targets
    if len(targets) > 2:
        return ()
    try:
        families = [ip_address(one).version for one in targets]
    except ValueError:
        return ()
    return targets if len(set(families)) == len(families) else ()


def with_addresses(manifest: Manifest, addresses: tuple[str, ...]) -> Manifest:
    """The Service with these ClusterIPs, the first of which is its own family's."""
    spec: dict[str, Any] = {**manifest["spec"], "clusterIP": addresses[0], "clusterIPs": list(addresses)}
    return {**manifest, "spec": spec}

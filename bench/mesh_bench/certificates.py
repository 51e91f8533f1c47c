"""Certificates for one run: a root, and what the gateways of two clusters show. They live in one folder.

Every system shows the same: our gateways read them from these files, and so do the proxies beside them.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mesh_core.identity import Component, Identity, cluster_id, domain
from mesh_core.names import DEFAULT_DOMAIN
from mesh_runtime.clock import utc_now
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.leaf import Standing
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import Authority, make_intermediate, make_root, new_key
from mesh_runtime.tls import Credentials

# A little while ago: clocks of a machine may disagree by a second.
_AGO = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a cluster's gateway shows, as files: its key, its chain, both in one; the roots it believes."""

    key: Path
    chain: Path
    both: Path
    roots: Path


def shown(folder: Path, *, cluster: str) -> Shown:
    """Where `write_certificates` puts them."""
    names = (f"{cluster}.key", f"{cluster}.crt", f"{cluster}.pem", "roots.pem")
    return Shown(*(folder / name for name in names))


def write_certificates(folder: Path, *, clusters: tuple[str, ...]) -> None:
    """A root of its own, and a gateway's leaf with its intermediate for each cluster."""
    now = utc_now() - _AGO
    root = make_root(domain(DEFAULT_DOMAIN), now=now)
    for name in clusters:
        identity = _identity(name)
        key = new_key()
        signed = make_intermediate(
            root, cluster=identity.cluster, domain=identity.domain, public_key=key.public_key(), now=now
        )
        leaf = own_leaf(Authority(signed, key), identity=identity, clock=lambda: now)
        files = shown(folder, cluster=name)
        files.key.write_bytes(leaf.key_pem)
        files.chain.write_bytes(leaf.chain_pem)
        files.both.write_bytes(leaf.chain_pem + leaf.key_pem)
        files.roots.write_bytes(certificates_to_pem((root.certificate,)))


def read_standing(folder: Path, *, cluster: str) -> Standing:
    """The same as our gateway holds it."""
    files = shown(folder, cluster=cluster)
    credentials = Credentials(key_pem=files.key.read_bytes(), chain_pem=files.chain.read_bytes())
    return Standing(_identity(cluster), credentials, (files.roots.read_text(),))


def _identity(cluster: str) -> Identity:
    return Identity(cluster=cluster_id(cluster), component=Component.GATEWAY, domain=domain(DEFAULT_DOMAIN))

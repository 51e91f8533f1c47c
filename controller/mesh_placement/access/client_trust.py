"""Whom the hub believes: kube-system/extension-apiserver-authentication, watched.

Every API server writes it for such programs as this one; who may read it has the Role
`extension-apiserver-authentication-reader` there. Without it only bearer tokens are looked at.
"""

import asyncio
import hashlib
import re
import ssl
from typing import Final, Never, cast

from mesh_placement.decide.caller import Believed, Shown, believed
from mesh_runtime.kube import CONFIG_MAPS, Informer, KubeClient
from mesh_runtime.latest import Latest
from mesh_runtime.log import logger
from mesh_runtime.tls import verified_chain

_log = logger(__name__)
_NAMESPACE: Final = "kube-system"
_NAME: Final = "extension-apiserver-authentication"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class ClientTrust:
    """Run it in a task group; `latest` has the rules and the CAs (PEM) that a handshake verifies by."""

    def __init__(self, kube: KubeClient) -> None:
        self.latest: Latest[tuple[Believed, str]] = Latest()
        self.synced: asyncio.Event
        self._maps = Informer(kube, CONFIG_MAPS, namespace=_NAMESPACE, fields=f"metadata.name={_NAME}")
        self._maps.on_change(self._read)
        self.synced = self._maps.synced

    async def run(self) -> Never:
        """Watch, for ever."""
        await self._maps.run()

    def _read(self) -> None:
        found = self._maps.get(_NAME, namespace=_NAMESPACE)
        data = found.data if found is not None else {}
        clients = _readable(data.get("client-ca-file", ""))
        fronts = _readable(data.get("requestheader-client-ca-file", ""))
        rules = believed(data, client_cas=frozenset(clients), front_cas=frozenset(fronts))
        self.latest.publish((rules, "\n".join({**clients, **fronts}.values())))


def shown_in(tls: ssl.SSLObject) -> Shown | None:
    """What the other end of a finished handshake has shown; None when it was nothing."""
    chain = verified_chain(tls)
    certificate = tls.getpeercert()
    if len(chain) < 2 or not certificate:
        return None
    # As ssl gives it: a tuple of names, each a tuple of (key, value).
    names = cast(tuple[tuple[tuple[str, str], ...], ...], certificate.get("subject", ()))
    subject = [part for name in names for part in name]
    ends = certificate["notAfter"]
    assert isinstance(ends, str)
    return Shown(
        common_name=next((value for key, value in subject if key == "commonName"), ""),
        organisations=tuple(value for key, value in subject if key == "organizationName"),
        issuers=frozenset(_digest(one) for one in chain[1:]),
        until=ssl.cert_time_to_seconds(ends),
    )


def _readable(pem: str) -> dict[str, str]:
    """The certificates of a bundle by digest; one that cannot be read is left out, and logged."""
    found = {}
    for text in _CERTIFICATE.findall(pem):
        try:
            ssl.create_default_context(cadata=text)
            found[_digest(ssl.PEM_cert_to_DER_cert(text))] = text
        except (ssl.SSLError, ValueError):
            _log.warning("a CA certificate of the hub cannot be read", where=f"{_NAMESPACE}/{_NAME}")
    return found


def _digest(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()

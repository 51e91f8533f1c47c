"""The certificate of the access proxy, and the CA by which the hub's aggregation layer believes it.

Both lie in the Secret `placement-access-serving`, which the manifests bring empty. Replicas share it: whoever
comes first fills it.

1. Whoever puts a certificate of his own there (without our annotation) is left alone, for ever.
2. Ours is made with a CA of its own, whose key is thrown away at once; the next one has another CA, and
   `ca.crt` then has both, as long as the old one is good.
3. A certificate is shown only when the APIService says its CA (`caBundle`), if there is an APIService.
"""

import asyncio
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Never

from mesh_core.errors import MeshError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Secret
from mesh_placement.access.certificate import end_of, make_certificate
from mesh_placement.names import ACCESS_API_SERVICE, ACCESS_SERVING_SECRET, ANNOTATION_SELF_MADE
from mesh_placement.resources import API_SERVICES
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import SECRETS, Informer, KubeClient
from mesh_runtime.latest import Latest, first_of
from mesh_runtime.log import logger
from mesh_runtime.tls import Credentials

_log = logger(__name__)

RENEWED_BEFORE: Final = 30 * 86400.0
"""Seconds before its end that a certificate of ours is replaced."""
_AGAIN: Final = 5.0
_LOOK: Final = 3600.0


@dataclass(frozen=True, slots=True)
class _Held:
    credentials: Credentials
    cas: str
    is_ours: bool


class Serving:
    """Run it in a task group; `latest` has what is to be shown. `hosts` are names beside the Service's."""

    def __init__(self, kube: KubeClient, *, hosts: tuple[str, ...] = (), clock: Clock = utc_now) -> None:
        self.latest: Latest[Credentials] = Latest()
        self._kube = kube
        self._hosts = hosts
        self._clock = clock
        self._secrets = Informer(
            kube, SECRETS, namespace=SYSTEM_NAMESPACE, fields=f"metadata.name={ACCESS_SERVING_SECRET}"
        )
        self._services = Informer(kube, API_SERVICES, fields=f"metadata.name={ACCESS_API_SERVICE}")
        self._changed = asyncio.Event()
        self._secrets.on_change(self._changed.set)
        self._services.on_change(self._changed.set)

    async def run(self) -> Never:
        """Make, publish and renew, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._secrets.run())
            group.create_task(self._services.run())
            await self._secrets.synced.wait()
            await self._services.synced.wait()
            while True:
                self._changed.clear()
                try:
                    await self._step()
                    wait = _LOOK
                except MeshError as error:
                    _log.warning("the serving certificate is not settled", why=str(error))
                    wait = _AGAIN
                await first_of(self._changed.wait(), limit=wait)
        raise AssertionError("the serving certificate's loop ended")

    async def _step(self) -> None:
        secret = self._secrets.get(ACCESS_SERVING_SECRET, namespace=SYSTEM_NAMESPACE)
        if secret is None:
            _log.warning("the Secret of the serving certificate is not there", name=ACCESS_SERVING_SECRET)
            return
        held = _held(secret)
        if held is None or (held.is_ours and _is_due(held, now=self._clock())):
            await self._fill(secret, held)
            return
        service = self._services.get(ACCESS_API_SERVICE)
        bundle = b64encode(held.cas.encode()).decode()
        if service is not None and held.cas and service.spec.ca_bundle != bundle:
            body = {"spec": {"caBundle": bundle}}
            await self._kube.merge_patch(API_SERVICES, ACCESS_API_SERVICE, body)
            return
        self.latest.publish(held.credentials)

    async def _fill(self, secret: Secret, old: _Held | None) -> None:
        made = make_certificate(hosts=self._hosts, now=self._clock())
        # Of what was there only the newest: those before it signed nothing that is still shown.
        cas = made.ca_pem.decode() + (_first_certificate(old.cas) if old is not None else "")
        values = {"tls.key": made.key_pem, "tls.crt": made.certificate_pem, "ca.crt": cas.encode()}
        body = {
            "metadata": {
                "resourceVersion": secret.metadata.resource_version,
                "annotations": {ANNOTATION_SELF_MADE: "true"},
            },
            "data": {name: b64encode(value).decode() for name, value in values.items()},
        }
        await self._kube.merge_patch(SECRETS, ACCESS_SERVING_SECRET, body, namespace=SYSTEM_NAMESPACE)
        _log.info("a serving certificate was made", until=end_of(made.certificate_pem).isoformat())


def _held(secret: Secret) -> _Held | None:
    try:
        data = {name: b64decode(value) for name, value in secret.data.items()}
        end_of(data["tls.crt"])
        credentials = Credentials(key_pem=data["tls.key"], chain_pem=data["tls.crt"])
        return _Held(credentials, data.get("ca.crt", b"").decode(), _is_ours(secret))
    except (KeyError, ValueError):
        return None


def _is_ours(secret: Secret) -> bool:
    return secret.metadata.annotations.get(ANNOTATION_SELF_MADE) == "true"


def _is_due(held: _Held, *, now: datetime) -> bool:
    return (end_of(held.credentials.chain_pem) - now).total_seconds() < RENEWED_BEFORE


def _first_certificate(pem: str) -> str:
    end = "-----END CERTIFICATE-----\n"
    first, found, _ = pem.partition(end)
    return first + found

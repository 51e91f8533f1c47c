"""Auto: the hub dials in to a member with a kubeconfig, sets up the agent there, and deletes the kubeconfig.

From then on the agent dials the hub, as one that a person has set up, and the hub keeps no credential of the
member's administrator. A token is made only when the member was reached, and the kubeconfig goes last: a hub
that dies anywhere begins again and ends the same.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Final, Never

from mesh_core.errors import EnvironmentFault, MeshError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Secret
from mesh_placement.decide.bootstrap_token import new_token, token_secret
from mesh_placement.decide.dialling_in import check_is_free, manifests_of, secret_text, settings_of
from mesh_placement.decide.kubeconfig import BadKubeconfig, Dial, read_kubeconfig
from mesh_placement.decide.profile import HubAddress
from mesh_placement.heirs import disown
from mesh_placement.hub.caches import HubCaches, joining_cluster
from mesh_placement.names import (
    AGENT_MANIFESTS,
    AGENT_SETTINGS,
    HUB_MANAGER,
    JOIN_KUBECONFIG_PREFIX,
)
from mesh_placement.objects import ClusterRegistration
from mesh_runtime.clock import Clock
from mesh_runtime.kube import CONFIG_MAPS, SECRETS, Bounds, KubeClient, connect_to
from mesh_runtime.log import logger
from mesh_runtime.tls import Credentials
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)

_TOKEN_LIFE: Final = timedelta(hours=1)
# As meshctl's own, so that a person who upgrades the agent later owns the same fields.
_MANIFESTS_MANAGER: Final = "meshctl"

Connect = Callable[[Dial], AbstractAsyncContextManager[KubeClient]]


class HubNotReady(EnvironmentFault):
    """The hub lacks what it would give to a member."""

    def __init__(self, what: str) -> None:
        super().__init__(what, next_step="write it with meshctl hub init")


@asynccontextmanager
async def connect_member(dial: Dial) -> AsyncIterator[KubeClient]:
    """A client for the member; raises KubeconfigError, UnusableCredentials."""
    credentials = Credentials(chain_pem=dial.certificate, key_pem=dial.key) if dial.certificate else None
    async with connect_to(
        dial.server,
        ca=dial.ca.decode(errors="replace"),
        credentials=credentials,
        token=(lambda: dial.token) if dial.token else None,
        bounds=Bounds(),
    ) as client:
        yield client


class DialIn:
    """Make it before the caches run; `run` it for each term of leadership. `note` is told what is wrong with
    a cluster, "" when nothing is (any more)."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        caches: HubCaches,
        note: Callable[[str, str], None],
        clock: Clock,
        connect: Connect = connect_member,
    ) -> None:
        self._kube = kube
        self._caches = caches
        self._note = note
        self._clock = clock
        self._connect = connect
        self._queue: WorkQueue[str] | None = None
        caches.joins.follow(lambda key, _old, _new: self._add(joining_cluster(key[1])))
        caches.registrations.follow(lambda key, _old, _new: self._add(key[1]))
        caches.info.on_change(self._add_all)

    async def run(self) -> Never:
        """Work, for ever, or until cancelled because another replica leads."""
        self._queue = WorkQueue[str]()
        self._add_all()
        try:
            await work(self._queue, self._reconcile, name="dialling in to")
        finally:
            self._queue = None

    async def _reconcile(self, cluster: str) -> None:
        name = f"{JOIN_KUBECONFIG_PREFIX}{cluster}"
        registration = self._caches.registrations.get(cluster)
        if registration is None or not _is_wanted(registration):
            return
        if self._caches.joins.get(name, namespace=SYSTEM_NAMESPACE) is None:
            return
        # Read, because the watch may not have shown yet that we have used it and deleted it.
        secret = await self._kube.find(SECRETS, name, namespace=SYSTEM_NAMESPACE)
        if secret is None:
            return
        try:
            await self._dial(secret, registration)
        except BadKubeconfig as error:
            # It stays so until somebody writes another one, which brings the key again.
            self._note(cluster, str(error))
            _log.warning("dialling in was refused", cluster=cluster, why=str(error))
        except MeshError as error:
            self._note(cluster, str(error))
            raise
        else:
            self._note(cluster, "")

    async def _dial(self, secret: Secret, registration: ClusterRegistration) -> None:
        cluster = registration.metadata.name
        dial = await read_aside(secret_text(secret, "kubeconfig").encode())
        hub = self._caches.address()
        if hub is None or not hub.server:
            raise HubNotReady("nobody has said at which address members reach this hub")
        found = await self._kube.find(CONFIG_MAPS, AGENT_MANIFESTS, namespace=SYSTEM_NAMESPACE)
        if found is None:
            raise HubNotReady("this hub has no manifests of the agent")
        access = secret_text(secret, "access") == "true"
        manifests = manifests_of(found.data, access=access)
        async with self._connect(dial) as member:
            there = await member.find(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
            check_is_free(there, hub=hub, cluster=cluster)
            await disown(member)
            for manifest in manifests:
                await member.apply_manifest(manifest, field_manager=_MANIFESTS_MANAGER)
            await self._settle(member, registration, hub=hub, advertise=dial.server, access=access)
        meta = secret.metadata
        await self._kube.delete(SECRETS, meta.name, namespace=meta.namespace, uid=meta.uid)
        _log.info("the agent is set up; the kubeconfig is gone", cluster=cluster)

    async def _settle(
        self,
        member: KubeClient,
        registration: ClusterRegistration,
        *,
        hub: HubAddress,
        advertise: str,
        access: bool,
    ) -> None:
        """Tell the agent where its hub is, with a token of its own."""
        token = new_token(secrets.choice)
        made = token_secret(
            token,
            cluster_set=registration.spec.cluster_set,
            expires=self._clock() + _TOKEN_LIFE,
            auto_accept=True,
            cluster=registration.metadata.name,
        )
        await self._kube.create(SECRETS, made)
        settings = settings_of(registration, hub=hub, token=token, advertise=advertise, access=access)
        await member.apply(SECRETS, settings, field_manager=HUB_MANAGER)

    def _add_all(self) -> None:
        for secret in self._caches.joins.values():
            self._add(joining_cluster(secret.metadata.name))

    def _add(self, cluster: str) -> None:
        if self._queue is not None and cluster:
            self._queue.add(cluster)


def _is_wanted(registration: ClusterRegistration) -> bool:
    is_leaving = registration.metadata.deletion_timestamp is not None
    return registration.spec.accepted and registration.spec.mode == "Auto" and not is_leaving


async def read_aside(text: bytes) -> Dial:
    """In a thread: a parser in Python takes a second for some ten KiB of brackets; the hub goes on."""
    return await asyncio.to_thread(read_kubeconfig, text)

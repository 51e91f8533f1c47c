"""What the hub reaches this member with: Secret `access` in our namespace on the hub.

1. The token is that of the account `placement-hub-access`, which may only impersonate; it is renewed at four
   fifths of its observed life.
2. The CA is the one that the member's own pods believe (ConfigMap `kube-root-ca.crt`), so that a rotation of
   it reaches the hub at once.
3. A member that lets nobody in leaves nothing there.
"""

import asyncio
import base64
import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Never

from mesh_core.conditions import rfc3339
from mesh_core.errors import EnvironmentFault, MeshError
from mesh_core.lifetimes import retry_delay
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_placement.agent.asker import Token, token_for
from mesh_placement.agent.session import Session
from mesh_placement.decide.access_secret import AccessHeld, access_data
from mesh_placement.names import ACCESS_SECRET, HUB_ACCESS_ACCOUNT
from mesh_runtime.kube import CONFIG_MAPS, SECRETS, Informer
from mesh_runtime.log import logger

_log = logger(__name__)

ROOT_CA = "kube-root-ca.crt"
LIFE_SECONDS = 3600
# The wall clock may be set while we wait by another one: look again after this many seconds.
_LONGEST_WAIT = 300.0


class NoRootCA(EnvironmentFault):
    """The member does not publish the CA of its own API server."""

    def __init__(self) -> None:
        super().__init__(
            f"there is no ConfigMap {SYSTEM_NAMESPACE}/{ROOT_CA} with ca.crt",
            next_step="see whether the kube-controller-manager runs, which publishes it in every namespace",
        )


async def access_part(session: Session) -> None:
    """The part of a session."""
    loop = AccessLoop(session)
    await loop.run()


class AccessLoop:
    """Keeps the Secret right, for as long as the session lasts."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cas = Informer(
            session.member, CONFIG_MAPS, namespace=SYSTEM_NAMESPACE, fields=f"metadata.name={ROOT_CA}"
        )
        self._changed = asyncio.Event()
        self._cas.on_change(self._changed.set)
        self._held: AccessHeld | None = None

    async def run(self) -> None:
        """Watch and write, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._cas.run())
            group.create_task(self._work())

    async def _work(self) -> Never:
        await self._cas.synced.wait()
        failures = 0
        while True:
            self._changed.clear()
            try:
                wait = await self._step()
                failures = 0
            except MeshError as error:
                wait = retry_delay(failures, jitter=random.random())
                failures += 1
                _log.warning("the hub's access is not renewed", why=str(error), again_in=round(wait, 1))
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    async def _step(self) -> float | None:
        """One look; seconds until the next one, None when only a change makes one due."""
        settings = self._session.settings
        if not settings.access:
            await self._write({})
            return None
        ca = self._ca()
        if not ca:
            raise NoRootCA
        now = self._session.clock()
        held = self._held
        if held is None or held.renewal <= now:
            held = self._renewed(await self._token(), now=now)
        if held != self._held or held.ca != ca:
            held = held.with_ca(ca)
            await self._write(access_data(held, server=settings.advertise))
            self._held = held
            _log.info("the hub's access is renewed", until=rfc3339(held.expires))
        return max(0.0, min(_LONGEST_WAIT, (held.renewal - self._session.clock()).total_seconds()))

    def _renewed(self, token: Token, *, now: datetime) -> AccessHeld:
        return AccessHeld.obtained(token.text, now=now, expires=token.expires, jitter=random.random())

    async def _token(self) -> Token:
        return await token_for(
            self._session.member, HUB_ACCESS_ACCOUNT, namespace=SYSTEM_NAMESPACE, seconds=LIFE_SECONDS
        )

    def _ca(self) -> str:
        found = self._cas.get(ROOT_CA, namespace=SYSTEM_NAMESPACE)
        return found.data.get("ca.crt", "") if found is not None else ""

    async def _write(self, data: Mapping[str, str]) -> None:
        """Put `data` there, and nothing else of ours; written only where it differs."""
        encoded = {name: base64.b64encode(text.encode()).decode() for name, text in data.items()}
        hub, namespace = self._session.hub, self._session.namespace
        seen = await hub.get(SECRETS, ACCESS_SECRET, namespace=namespace)
        if dict(seen.data) != encoded:
            gone = {name: None for name in seen.data if name not in encoded}
            body = {"data": {**encoded, **gone}}
            await hub.merge_patch(SECRETS, ACCESS_SECRET, body, namespace=namespace)

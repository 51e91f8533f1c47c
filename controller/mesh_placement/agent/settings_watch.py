"""What this member was told of its hub, kept current, and what the agent notes there: Secret AGENT_SETTINGS.

Whoever reads `current` and waits for `after` misses no change. A Secret that does not read counts as none and
is told of in the log.
"""

import base64
from typing import Never

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Secret
from mesh_placement.decide.agent_settings import CA, TOKEN, HubSettings, UnreadableSettings, read_settings
from mesh_placement.names import AGENT_SETTINGS, ANNOTATION_REFUSED
from mesh_runtime.kube import SECRETS, ApiError, Informer, KubeClient
from mesh_runtime.kube.client import Body
from mesh_runtime.latest import Latest
from mesh_runtime.log import logger

_log = logger(__name__)


class SettingsWatch:
    """The settings of the agent in the cluster of `member`."""

    def __init__(self, member: KubeClient) -> None:
        self._member = member
        self._latest: Latest[HubSettings] = Latest()
        self._refusal = ""
        self._secrets = Informer(
            member, SECRETS, namespace=SYSTEM_NAMESPACE, fields=f"metadata.name={AGENT_SETTINGS}"
        )
        self._secrets.follow(lambda _key, _old, new: self._read(new))

    @property
    def current(self) -> HubSettings | None:
        """The settings; None while there are none."""
        return self._latest.value

    @property
    def is_synced(self) -> bool:
        """Whether it is known what there is."""
        return self._secrets.synced.is_set()

    async def after(self, seen: HubSettings | None) -> HubSettings | None:
        """The settings, as soon as they are not `seen`."""
        return await self._latest.after(seen)

    async def standing_after(self, seen: HubSettings) -> None:
        """Return when more than the token is not as in `seen` any more."""
        current = self.current
        while current is not None and current.standing == seen.standing:
            current = await self._latest.after(current)

    async def run(self) -> Never:
        """Watch, for ever."""
        await self._secrets.run()

    async def take_token_out(self) -> None:
        """The bootstrap token has done its work."""
        await self._patch({"data": {TOKEN: None}})

    async def take_over_ca(self, ca: str) -> None:
        """Believe the hub below `ca` (PEM) from now on."""
        await self._patch({"data": {CA: base64.b64encode(ca.encode()).decode()}})

    async def note_refusal(self, why: str) -> None:
        """Show `why` the hub refuses this member, "" that it does not; written only when that is new."""
        if why != self._refusal:
            await self._patch({"metadata": {"annotations": {ANNOTATION_REFUSED: why or None}}})

    async def _patch(self, body: Body) -> None:
        try:
            await self._member.merge_patch(SECRETS, AGENT_SETTINGS, body, namespace=SYSTEM_NAMESPACE)
        except ApiError as error:
            if not error.is_not_found:
                raise

    def _read(self, secret: Secret | None) -> None:
        self._refusal = "" if secret is None else secret.metadata.annotations.get(ANNOTATION_REFUSED, "")
        try:
            self._latest.publish(None if secret is None else read_settings(secret))
        except UnreadableSettings as error:
            _log.warning("no hub is known", why=str(error))
            self._latest.publish(None)

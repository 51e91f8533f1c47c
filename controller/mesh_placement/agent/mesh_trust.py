"""The member's place in the mesh, as far as the hub helps with it: what the controller asks the root for is
told there, and what the root has signed is taken from there (decision 0030).

1. A statement from the hub is judged as one that a peer passes on: a root that is believed here has signed
   it, and it is newer. Everything else is left where it is.
2. A TrustBundle is never made here: whom a member believes first is said by a person.
3. The agent's log says which key asks; who signs compares it, so that a hub cannot put its own in between.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from mesh_core.names import SIGNER_INTERMEDIATE, TRUST_BUNDLE
from mesh_core.objects import TrustBundle
from mesh_core.roster import entry_of
from mesh_core.trust_body import signed_body
from mesh_core.trust_statement import BadTrust, Held, held_by
from mesh_placement.agent.kinds import MemberKinds, OptionalCache
from mesh_placement.decide.trust_relay import asked, offered_by
from mesh_placement.names import TRUST_SECRET
from mesh_placement.objects import AgentReport
from mesh_runtime.kube import CSRS, SECRETS, TRUST_BUNDLES, Informer, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.signing_request import BadRequest, read_request
from mesh_runtime.trust_signing import key_id_of, taken_by
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)
_BUNDLE: Final = f"metadata.name={TRUST_BUNDLE}"


class MeshTrust:
    """For the member `cluster`; `namespace` is its own on the hub. `changed`: `told` may have changed."""

    def __init__(
        self,
        hub: KubeClient,
        member: KubeClient,
        *,
        cluster: str,
        namespace: str,
        kinds: MemberKinds,
        changed: Callable[[], None],
    ) -> None:
        self._member = member
        self._cluster = cluster
        self._changed = changed
        self._queue: WorkQueue[str] = WorkQueue()
        self._shown = ""
        self._bundles = OptionalCache(member, TRUST_BUNDLES, kinds=kinds, changed=self._wake, fields=_BUNDLE)
        self._requests = Informer(member, CSRS, fields=f"spec.signerName={SIGNER_INTERMEDIATE}")
        self._requests.on_change(self._asked)
        self._given = Informer(hub, SECRETS, namespace=namespace, fields=f"metadata.name={TRUST_SECRET}")
        self._given.on_change(self._wake)

    def told(self, report: AgentReport) -> AgentReport | None:
        """The report with what is known of the mesh; None while that is not known."""
        if not (self._bundles.synced.is_set() and self._requests.synced.is_set()):
            return None
        bundle = next(iter(self._bundles.values()), None)
        if bundle is None:
            return report
        return replace(
            report, trust_domain=bundle.spec.domain[:253], trust_request=asked(self._requests.values())
        )

    async def run(self) -> None:
        """Watch, and take what the root has signed, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._bundles.run())
            group.create_task(self._requests.run())
            group.create_task(self._given.run())
            group.create_task(work(self._queue, self._take, name="trust of the mesh"))
            await self._requests.synced.wait()
            self._asked()

    def _wake(self) -> None:
        self._queue.add(TRUST_BUNDLE)
        self._changed()

    def _asked(self) -> None:
        pem = asked(self._requests.values())
        if pem != self._shown:
            self._shown = pem
            if pem:
                _log.info("the mesh's controller waits for the root", key=_key_in(pem), cluster=self._cluster)
        self._changed()

    async def _take(self, name: str) -> None:
        bundle = await self._bundle(name)
        offered = offered_by(next(iter(self._given.values()), None))
        if bundle is None or offered.generation <= held_by(bundle).generation:
            return
        try:
            held = taken_by(bundle, offered=offered)
        except BadTrust as error:
            _log.warning(
                "the hub's statement is not taken", generation=offered.generation, because=error.what
            )
            return
        await self._write(bundle, held)
        _log.info("took what the root has signed from the hub", generation=held.generation)

    async def _bundle(self, name: str) -> TrustBundle | None:
        """As it is now: what is written is written over it."""
        known = next(iter(self._bundles.values()), None)
        return await self._member.find(TRUST_BUNDLES, name) if known is not None else None

    async def _write(self, bundle: TrustBundle, held: Held) -> None:
        spec = dict(signed_body(held, before=bundle)["spec"])
        if entry_of(held.statement, cluster=self._cluster) is not None:
            spec["pool"] = None  # whom the root has admitted is in no issuer's pool any more
        body = {"metadata": {"resourceVersion": bundle.metadata.resource_version}, "spec": spec}
        await self._member.merge_patch(TRUST_BUNDLES, TRUST_BUNDLE, body)


def _key_in(pem: str) -> str:
    """The KeyId of the key that a request is for."""
    try:
        return key_id_of(read_request(pem.encode()).public_key)
    except BadRequest as error:
        return f"({error.what})"

"""Answers the claims of one provider: look, think (`decide.answering`), act; one claim at a time.

It reads claims and registrations from the API server itself and not from a cache: what is destroyed cannot be
brought back, and clusters come and go seldom.
"""

from typing import Final, Never

import msgspec

from mesh_core.conditions import shortened
from mesh_core.errors import MeshError
from mesh_placement.decide.answering import Step, next_step
from mesh_placement.decide.handing_over import join_secret, provided_registration
from mesh_placement.names import PROVIDER_FINALIZER, PROVIDER_MANAGER
from mesh_placement.objects import ClusterClaim, Driver, ProviderReport, Provisioned
from mesh_placement.provide.provider import Provider, Standing, wish_of
from mesh_placement.resources import CLUSTER_CLAIMS, CLUSTER_REGISTRATIONS
from mesh_runtime.kube import SECRETS, ApiError, Informer, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)
_NEXT: Final = 0.1
"""Seconds between two steps of a claim."""
_LOOK_AGAIN: Final = 60.0
"""Seconds after which a cluster that runs is looked at again: it may have died."""


class AnswerLoop:
    """Give it a provider; `run` it. `driver` is the kind of credential that its clusters' agents get."""

    def __init__(self, kube: KubeClient, *, provider: Provider, driver: Driver = "csr") -> None:
        self._kube = kube
        self._provider = provider
        self._driver: Driver = driver
        self._claims = Informer(kube, CLUSTER_CLAIMS)
        self._registrations = Informer(kube, CLUSTER_REGISTRATIONS)
        self._queue = WorkQueue[str]()
        self._claims.follow(lambda key, old, new: self._claim_changed(key[1], old, new))
        self._registrations.follow(lambda key, _old, _new: self._changed(key[1]))

    async def watch_claims(self) -> Never:
        """Run this beside `run`."""
        await self._claims.run()

    async def watch_registrations(self) -> Never:
        """And this."""
        await self._registrations.run()

    async def run(self) -> Never:
        """Answer, for ever. What it made stays when it stops, and is found again."""
        await work(self._queue, self._answer, name="claim")

    async def _answer(self, name: str) -> float | None:
        claim = await self._kube.find(CLUSTER_CLAIMS, name)
        if claim is None or claim.spec.provider != self._provider.name:
            return None
        registration = await self._kube.find(CLUSTER_REGISTRATIONS, name)
        try:
            standing = await self._provider.status(wish_of(claim))
            nodes = None if standing is None else standing.nodes
            step = next_step(claim, registration=registration, nodes=nodes)
            return await self._take(step, claim, standing=standing)
        except ApiError as error:
            if not error.is_conflict:
                raise
            return _NEXT
        except MeshError as error:
            await self._say(claim, ProviderReport(phase="Failed", message=shortened(str(error))))
            raise

    async def _take(self, step: Step, claim: ClusterClaim, *, standing: Standing | None) -> float | None:
        wish = wish_of(claim)
        match step:
            case Step.NOTHING:
                return None
            case Step.HOLD:
                await self._finalizers(claim, (*claim.metadata.finalizers, PROVIDER_FINALIZER))
            case Step.CREATE:
                await self._say(claim, ProviderReport(phase="Raising"))
                _log.info("a cluster is made", claim=wish.cluster)
                await self._provider.create(wish)
            case Step.SCALE:
                await self._say(claim, _report("Raising", standing))
                await self._provider.scale(wish)
            case Step.REGISTER:
                await self._say(claim, _report("Running", standing))
                await self._register(claim, standing=standing)
            case Step.RUNNING:
                await self._say(claim, _report("Running", standing))
                return _LOOK_AGAIN
            case Step.DESTROY:
                await self._say(claim, _report("Removing", standing))
                _log.info("a cluster is destroyed", claim=wish.cluster)
                await self._provider.delete(wish)
                kept = (one for one in claim.metadata.finalizers if one != PROVIDER_FINALIZER)
                await self._finalizers(claim, tuple(kept))
        return _NEXT

    async def _register(self, claim: ClusterClaim, *, standing: Standing | None) -> None:
        """The kubeconfig first: the hub looks for it when it sees the registration."""
        if standing is None:
            return
        name = claim.metadata.name
        secret = join_secret(name, kubeconfig=standing.kubeconfig, access=False)
        await self._kube.apply(SECRETS, secret, field_manager=PROVIDER_MANAGER)
        came = Provisioned(provider=claim.spec.provider, claim=name, claim_uid=claim.metadata.uid)
        body = provided_registration(
            name, cluster_set=claim.spec.cluster_set, driver=self._driver, provision=came
        )
        # Created, never applied: one that somebody made meanwhile is not ours.
        await self._kube.create(CLUSTER_REGISTRATIONS, body, field_manager=PROVIDER_MANAGER)

    async def _say(self, claim: ClusterClaim, report: ProviderReport) -> None:
        if report == claim.status.provider:
            return
        meta = {"name": claim.metadata.name, "uid": claim.metadata.uid}
        body = {"metadata": meta, "status": {"provider": msgspec.to_builtins(report)}}
        await self._kube.apply(CLUSTER_CLAIMS, body, field_manager=PROVIDER_MANAGER, subresource="status")

    async def _finalizers(self, claim: ClusterClaim, finalizers: tuple[str, ...]) -> None:
        # Read anew: our own words in its status have made another version of it.
        fresh = await self._kube.find(CLUSTER_CLAIMS, claim.metadata.name)
        was = set(claim.metadata.finalizers)
        if fresh is None or fresh.metadata.uid != claim.metadata.uid or set(fresh.metadata.finalizers) != was:
            return
        meta = {"resourceVersion": fresh.metadata.resource_version, "finalizers": list(finalizers) or None}
        await self._kube.merge_patch(CLUSTER_CLAIMS, claim.metadata.name, {"metadata": meta})

    def _claim_changed(self, name: str, old: ClusterClaim | None, new: ClusterClaim | None) -> None:
        """What we say ourselves is no news: it would end the pause after a failure."""
        if _decisive(old) != _decisive(new):
            self._queue.add(name)

    def _changed(self, cluster: str) -> None:
        if self._claims.get(cluster) is not None:
            self._queue.add(cluster)


def _decisive(claim: ClusterClaim | None) -> object:
    """What a step depends on."""
    if claim is None:
        return None
    meta = claim.metadata
    return meta.uid, meta.deletion_timestamp, meta.finalizers, claim.spec, claim.status.registration


def _report(phase: str, standing: Standing | None) -> ProviderReport:
    uid, nodes = ("", 0) if standing is None else (standing.uid, standing.nodes)
    return msgspec.convert({"phase": phase, "uid": uid, "nodes": nodes}, ProviderReport)

"""Copies of Secrets in the namespaces of clusters, beside the Works: so a Secret of the hub comes to members.

1. A copy says of which Secret it is, in which version; what is current is not written again.
2. What is in a Secret is held only while its copies are written.
3. A Secret that somebody else has there under our name is left alone, and not listed.
"""

from collections.abc import Collection, Mapping, Sequence

from mesh_core.objects import KubernetesObject, Secret
from mesh_placement.decide.assigning import Target, name_of
from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.hub.placing.sources import Sources
from mesh_placement.hub.writing import delete_that
from mesh_placement.names import (
    ANNOTATION_SOURCE,
    ANNOTATION_TARGET,
    HUB_MANAGER,
    LABEL_PLACEMENT,
    copied_secret_name,
)
from mesh_placement.objects import Placement
from mesh_placement.schedule.bringing import MOST_BYTES, SecretSource
from mesh_runtime.kube import SECRETS, ApiError, KubeClient
from mesh_runtime.log import logger

_log = logger(__name__)


class SecretCopier:
    """Raises ApiError, Unreachable, BadAnswer for the first request that fails."""

    def __init__(self, kube: KubeClient, *, caches: PlacementCaches, sources: Sources) -> None:
        self._kube = kube
        self._caches = caches
        self._sources = sources

    async def read(
        self, placement: Placement, secrets: Sequence[SecretSource], *, targets: Sequence[Target]
    ) -> dict[str, Secret]:
        """Those of which a copy is lacking or old in one of `targets`, by name, but for who is gone."""
        found: dict[str, Secret] = {}
        size = 0
        for one in secrets:
            copies = (self._copy(placement, one.name, target) for target in targets)
            if any(_version(copy) != one.version for copy in copies):
                secret = await self._sources.secret(one.name, namespace=placement.metadata.namespace)
                size += sum(map(len, secret.data.values())) if secret is not None else 0
                if size > MOST_BYTES:
                    break  # they grew since they were counted: they are counted again
                if secret is not None:
                    found[one.name] = secret
        return found

    async def write(
        self,
        placement: Placement,
        secrets: Sequence[SecretSource],
        *,
        target: Target,
        contents: Mapping[str, Secret],
    ) -> tuple[str, ...]:
        """Make the copies current; names of those that are there afterwards."""
        there = []
        for one in secrets:
            copy, content = self._copy(placement, one.name, target), contents.get(one.name)
            if _version(copy) != one.version and content is not None:
                if copy is not None and _uid(copy) != content.metadata.uid:
                    await delete_that(self._kube, SECRETS, copy)  # of another type, perhaps
                    copy = None
                if not await self._put(_body(placement, content, target), is_new=copy is None):
                    continue
            elif copy is None:
                continue
            there.append(copied_secret_name(name_of(placement), secret=one.name))
        return tuple(sorted(there))

    async def withdraw(self, placement: Placement, *, target: str, kept: Collection[str]) -> None:
        """Delete the copies in the namespace `target` that are not `kept`, by name."""
        for copy in self._caches.given_copies(name_of(placement)):
            if copy.metadata.namespace == target and copy.metadata.name not in kept:
                await delete_that(self._kube, SECRETS, copy)

    async def _put(self, body: dict[str, object], *, is_new: bool) -> bool:
        if not is_new:
            await self._kube.apply(SECRETS, body, field_manager=HUB_MANAGER)
            return True
        try:
            await self._kube.create(SECRETS, body, field_manager=HUB_MANAGER)
        except ApiError as error:
            if not error.is_conflict:
                raise
            _log.warning("a Secret that no Placement made has the name of a copy", why=error.what)
            return False
        return True

    def _copy(self, placement: Placement, name: str, target: Target) -> KubernetesObject | None:
        copied = copied_secret_name(name_of(placement), secret=name)
        copy = self._caches.copies.get(copied, namespace=target.namespace)
        return copy if copy is not None and copy.metadata.deletion_timestamp is None else None


def _body(placement: Placement, content: Secret, target: Target) -> dict[str, object]:
    label, meta = name_of(placement), content.metadata
    return {
        "metadata": {
            "name": copied_secret_name(label, secret=meta.name),
            "namespace": target.namespace,
            "labels": {LABEL_PLACEMENT: label},
            "annotations": {
                ANNOTATION_TARGET: f"{placement.metadata.namespace}/{meta.name}",
                ANNOTATION_SOURCE: f"{meta.uid}/{meta.resource_version}",
            },
        },
        "type": content.type or "Opaque",
        "data": content.data,
    }


def _version(copy: KubernetesObject | None) -> str:
    return copy.metadata.annotations.get(ANNOTATION_SOURCE, "") if copy is not None else ""


def _uid(copy: KubernetesObject) -> str:
    return _version(copy).partition("/")[0]

"""The copy in one witness: Secrets of its namespace, one with the index and one for each piece."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from mesh_core.objects import KubernetesObject, Secret
from mesh_core.plan import Json
from mesh_placement.decide.hub_copy import Index, UnreadableCopy, read_index
from mesh_placement.hub.floating.seal import INDEX, PIECE, Seal, name_of
from mesh_placement.names import HUB_COPY, LABEL_COPY, WITNESS_NAMESPACE
from mesh_runtime.kube import SECRETS, ApiError, KubeClient, Resource

_SEALED = "sealed"
_WITHOUT_CONTENT = Resource("", "v1", SECRETS.plural, SECRETS.kind, KubernetesObject)


@dataclass(slots=True)
class CopyStore:
    """Reads and writes it; `kube` is a client of the witness."""

    witness: str
    kube: KubeClient
    seal: Seal = field(repr=False)

    def only_while(self, may_write: Callable[[], None]) -> "CopyStore":
        """The same, whose writes ask."""
        return CopyStore(self.witness, self.kube.only_while(may_write), self.seal)

    async def index(self) -> tuple[Index | None, str]:
        """The index and its resourceVersion, None and "" where there is none.

        Raises UnreadableCopy for one that is not ours, ApiError, Unreachable.
        """
        found = await self.kube.find(SECRETS, HUB_COPY, namespace=WITNESS_NAMESPACE)
        if found is None:
            return None, ""
        return read_index(self.seal.opened(_content(found), what=INDEX)), found.metadata.resource_version

    async def put_index(self, index: Index, *, over: str) -> str:
        """Write it over the one with that version; its own. `is_conflict` where there is another by now."""
        raw = self.seal.sealed(msgspec.json.encode(index), what=INDEX)
        body = _body(HUB_COPY, raw)
        if not over:
            return (await self.kube.create(SECRETS, body)).metadata.resource_version
        body["metadata"]["resourceVersion"] = over
        return (await self.kube.replace(SECRETS, body)).metadata.resource_version

    async def version_of_index(self) -> str:
        """Its resourceVersion alone, "" where there is none."""
        found = await self.kube.find(SECRETS, HUB_COPY, namespace=WITNESS_NAMESPACE)
        return "" if found is None else found.metadata.resource_version

    async def names(self) -> set[str]:
        """The pieces that are there."""
        found = await self.kube.lists_metadata().list(
            _WITHOUT_CONTENT, namespace=WITNESS_NAMESPACE, labels=LABEL_COPY
        )
        return {one.metadata.name.removeprefix(f"{HUB_COPY}-") for one in found.items}

    async def put(self, sealed: bytes) -> None:
        """Keep a piece; one that is there by its name is the same."""
        try:
            await self.kube.create(SECRETS, _body(f"{HUB_COPY}-{name_of(sealed)}", sealed))
        except ApiError as error:
            if not error.is_conflict:
                raise

    async def piece(self, name: str) -> bytes:
        """What is in the piece. Raises UnreadableCopy where it is not there or is another."""
        found = await self.kube.find(SECRETS, f"{HUB_COPY}-{name}", namespace=WITNESS_NAMESPACE)
        if found is None:
            raise UnreadableCopy(f"piece {name} is not there")
        sealed = _content(found)
        if name_of(sealed) != name:
            raise UnreadableCopy(f"piece {name} is another one")
        return self.seal.opened(sealed, what=PIECE)

    async def drop(self, name: str) -> None:
        """A piece that no index names any more."""
        await self.kube.delete(SECRETS, f"{HUB_COPY}-{name}", namespace=WITNESS_NAMESPACE)


def _body(name: str, sealed: bytes) -> Json:
    labels = {} if name == HUB_COPY else {LABEL_COPY: "piece"}
    meta: Json = {"name": name, "namespace": WITNESS_NAMESPACE, "labels": labels}
    return {"metadata": meta, "data": {_SEALED: base64.b64encode(sealed).decode()}}


def _content(found: Secret) -> bytes:
    try:
        return base64.b64decode(found.data.get(_SEALED, ""), validate=True)
    except binascii.Error as error:
        raise UnreadableCopy("it is not base64") from error

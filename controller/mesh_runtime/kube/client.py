"""Requests to one API server, typed by resource.

Promises: every request has a limit; a refusal is an `ApiError`, silence is `Unreachable`; nothing is
retried here, because the caller knows whether it may be. Reading is decoded into Structs; writing takes
plain mappings with just the fields that we own. With `bounds` no answer is read beyond them.
"""

import asyncio
import copy
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import responses
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import msgspec

from mesh_core.objects import KubernetesObject, Meta
from mesh_runtime.kube.bounds import FIRST_PAGE, Bounds, TooMuch, fewer, read_within
from mesh_runtime.kube.errors import ApiError, BadAnswer, NotLeading, NotTrusted, Unreachable
from mesh_runtime.kube.guarded import Guarded, always
from mesh_runtime.kube.refusal import refusal_in
from mesh_runtime.kube.resources import Resource

if TYPE_CHECKING:
    import aiohttp
else:
    from mesh_runtime.kube import late_aiohttp as aiohttp

T = TypeVar("T", bound=KubernetesObject)

# A JSON object as it goes to the API server: its values are whatever JSON has, hence Any.
Body = Mapping[str, Any]

REQUEST_LIMIT = 10.0  # seconds
_MERGE_PATCH = "application/merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"
_JSON = "application/json"
_METADATA_ONLY = f"{_JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST = f"{_JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class _ApiResource(msgspec.Struct, rename="camel"):
    name: str
    kind: str
    namespaced: bool


class _ApiResourceList(msgspec.Struct, rename="camel"):
    resources: list[_ApiResource]


@dataclass(frozen=True, slots=True)
class ObjectPage(Generic[T]):
    """A complete list, the resourceVersion to watch from, and the keys of objects that we cannot read."""

    items: list[T]
    resource_version: str
    unreadable: frozenset[tuple[str, str]] = frozenset()


class KubeClient:
    """One API server. Made by `connect`; safe to share between tasks."""

    def __init__(
        self,
        session: "aiohttp.ClientSession",
        *,
        server: str,
        authorization: Callable[[], Awaitable[dict[str, str]]],
        bounds: Bounds | None = None,
    ) -> None:
        self.server = server
        self.bounds = bounds
        self._session = session
        self._authorization = authorization
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}
        self._headers: dict[str, str] = {}
        self._watch_accept = _JSON
        self._may_write: Callable[[], None] = always

    def acting_as(self, user: str) -> Self:
        """The same way to the API server, as somebody else (Impersonate-User); needs the right to do so.

        A ServiceAccount is `system:serviceaccount:<namespace>:<name>`: it gets its groups by itself.
        """
        other = copy.copy(self)
        other._headers = {**self._headers, "Impersonate-User": user}
        return other

    def lists_metadata(self) -> Self:
        """The same for lists and watches that need only the objects' metadata; for no other request."""
        other = copy.copy(self)
        other._headers = {**self._headers, "Accept": _METADATA_LIST}
        other._watch_accept = _METADATA_ONLY
        return other

    def only_while(self, may_write: Callable[[], None]) -> Self:
        """The same, where `may_write`, which raises, is asked before a write and again as its bytes leave."""
        other = copy.copy(self)
        other._may_write = may_write
        return other

    async def ready(self) -> None:
        """Return when /readyz says yes; raises ApiError or Unreachable otherwise."""
        await self.request("GET", "/readyz")

    async def time(self) -> datetime:
        """The time by the API server's clock, cut to the second (RFC 9110, section 6.6.1); in UTC."""
        limits = aiohttp.ClientTimeout(total=REQUEST_LIMIT)
        async with self._send("GET", "/version", params=None, limits=limits) as response:
            await read_within(response, self.bounds, path="/version")
            try:
                return parsedate_to_datetime(response.headers.get("Date", ""))
            except (TypeError, ValueError) as error:
                raise BadAnswer(path="/version", why="it has no Date") from error

    async def find_metadata(self, resource: Resource[T], name: str, *, namespace: str = "") -> Meta | None:
        """The metadata of one object and nothing else of it, so that of a Secret nothing secret is sent."""
        path = resource.path(name, namespace=namespace)
        limits = aiohttp.ClientTimeout(total=REQUEST_LIMIT)
        try:
            async with self._send("GET", path, params=None, limits=limits, accept=_METADATA_ONLY) as response:
                raw = await read_within(response, self.bounds, path=path)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise
        try:
            return msgspec.json.decode(raw, type=KubernetesObject).metadata
        except msgspec.DecodeError as error:
            raise BadAnswer(path=path, why=str(error)) from error

    async def get(self, resource: Resource[T], name: str, *, namespace: str = "") -> T:
        """One object; ApiError with `is_not_found` when it is not there."""
        path = resource.path(name, namespace=namespace)
        return _read(resource, await self.request("GET", path), path=path)

    async def find(self, resource: Resource[T], name: str, *, namespace: str = "") -> T | None:
        """One object, or None when it is not there."""
        try:
            return await self.get(resource, name, namespace=namespace)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def list(
        self, resource: Resource[T], *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> ObjectPage[T]:
        """All objects, read in pages of one consistent snapshot; `is_gone` if a page came too late.

        Raises BadAnswer for what does not read, and TooMuch or Unreachable for what keeps to no bounds.
        """
        params = _selectors(labels=labels, fields=fields)
        path = resource.collection(namespace=namespace)
        try:
            async with asyncio.timeout(self.bounds.listing if self.bounds is not None else None):
                return await self._pages(resource, path, params)
        except TimeoutError as error:
            raise Unreachable(server=self.server, why=f"the list {path} does not end") from error

    async def _pages(self, resource: Resource[T], path: str, selectors: dict[str, str]) -> ObjectPage[T]:
        items: list[T] = []
        unreadable: set[tuple[str, str]] = set()
        most, size, params = FIRST_PAGE, 0, dict(selectors)
        while True:
            try:
                raw = await self.request("GET", path, params={**params, "limit": str(most)})
            except TooMuch:
                most = fewer(most)
                if not most:
                    raise
                continue
            size += len(raw)
            if self.bounds is not None and size > self.bounds.cache:
                raise TooMuch(path=path, most=self.bounds.cache)
            try:
                page = resource.decode_page(raw)
            except msgspec.DecodeError as error:
                raise BadAnswer(path=path, why=str(error)) from error
            items.extend(page.items or ())
            unreadable.update(page.unreadable)
            if not page.metadata.continue_:
                return ObjectPage(items, page.metadata.resource_version, frozenset(unreadable))
            params["continue"] = page.metadata.continue_

    async def create(self, resource: Resource[T], body: Body, *, field_manager: str = "") -> T:
        """Create; ApiError with `is_conflict` when the name is taken.

        The fields belong to `field_manager`, or without one to whoever the API server takes us for.
        """
        namespace = str(body["metadata"].get("namespace", ""))
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        path = resource.collection(namespace=namespace)
        params = {"fieldManager": field_manager} if field_manager else None
        return _read(resource, await self.request("POST", path, params=params, body=full), path=path)

    async def replace(self, resource: Resource[T], body: Body, *, subresource: str = "") -> T:
        """PUT the whole object; give metadata.resourceVersion to be safe against lost updates."""
        meta = body["metadata"]
        path = resource.path(meta["name"], namespace=meta.get("namespace", ""), subresource=subresource)
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return _read(resource, await self.request("PUT", path, body=full), path=path)

    async def merge_patch(
        self,
        resource: Resource[T],
        name: str,
        body: Body,
        *,
        namespace: str = "",
        subresource: str = "",
    ) -> T:
        """RFC 7396 merge patch; put metadata.resourceVersion in `body` to demand an unchanged object."""
        path = resource.path(name, namespace=namespace, subresource=subresource)
        raw = await self.request("PATCH", path, body=body, content_type=_MERGE_PATCH)
        return _read(resource, raw, path=path)

    async def apply(
        self, resource: Resource[T], body: Body, *, field_manager: str, subresource: str = ""
    ) -> T:
        """Server-side apply of the fields in `body` under `field_manager`, taking over conflicts."""
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        meta = body["metadata"]
        path = resource.path(meta["name"], namespace=meta.get("namespace", ""), subresource=subresource)
        return _read(resource, await self._apply(path, full, field_manager=field_manager), path=path)

    async def apply_manifest(self, manifest: Body, *, field_manager: str) -> None:
        """Server-side apply of any manifest; its kind is looked up by discovery, once a group."""
        meta = manifest["metadata"]
        collection = await self._collection(
            str(manifest["apiVersion"]), str(manifest["kind"]), namespace=meta.get("namespace", "")
        )
        await self._apply(f"{collection}/{meta['name']}", manifest, field_manager=field_manager)

    async def delete(self, resource: Resource[T], name: str, *, namespace: str = "", uid: str = "") -> bool:
        """Delete; False when it was not there. With `uid` only that very object is deleted."""
        body: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self.request("DELETE", resource.path(name, namespace=namespace), body=body)
        except ApiError as error:
            if error.is_not_found:
                return False
            raise
        return True

    async def delete_manifest(self, manifest: Body) -> None:
        """Delete the object of that kind and name, if it is there."""
        meta = manifest["metadata"]
        collection = await self._collection(
            str(manifest["apiVersion"]), str(manifest["kind"]), namespace=meta.get("namespace", "")
        )
        try:
            await self.request("DELETE", f"{collection}/{meta['name']}", body={})
        except ApiError as error:
            if not error.is_not_found:
                raise

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Body | None = None,
        content_type: str = _JSON,
        limit: float = REQUEST_LIMIT,
    ) -> bytes:
        """One request, its whole answer; raises ApiError for a refusal, Unreachable for silence."""
        limits = aiohttp.ClientTimeout(total=limit)
        async with self._send(
            method, path, params=params, body=body, content_type=content_type, limits=limits
        ) as response:
            return await read_within(response, self.bounds, path=path)

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str], silence_limit: float
    ) -> AsyncIterator["aiohttp.StreamReader"]:
        """A GET whose answer goes on; Unreachable after `silence_limit` seconds without a byte."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_LIMIT, sock_read=silence_limit)
        accept = self._watch_accept
        async with self._send("GET", path, params=params, limits=limits, accept=accept) as response:
            yield response.content

    @asynccontextmanager
    async def web_socket(
        self, path: str, *, params: Sequence[tuple[str, str]], protocol: str, most: int
    ) -> AsyncIterator["aiohttp.ClientWebSocketResponse"]:
        """A WebSocket with the subprotocol `protocol` and messages of at most `most` bytes.

        How long anything may take is the caller's; raises ApiError, Unreachable.
        """
        try:
            async with self._session.ws_connect(
                self.server + path,
                params=params,
                protocols=(protocol,),
                headers={**await self._authorization(), **self._headers},
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                max_msg_size=most,
            ) as socket:
                yield socket
        except aiohttp.WSServerHandshakeError as error:
            # The reason is in a body that aiohttp does not read.
            reason = responses.get(error.status, "unknown")
            raise ApiError(status=error.status, reason=reason, message=f"no way to {path}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise _no_answer(self.server, error) from error

    @asynccontextmanager
    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None,
        limits: "aiohttp.ClientTimeout",
        body: Body | None = None,
        content_type: str = _JSON,
        accept: str = "",
    ) -> AsyncIterator["aiohttp.ClientResponse"]:
        headers = {**await self._authorization(), "Accept": _JSON, **self._headers}
        if accept:
            headers["Accept"] = accept
        data: io.BytesIO | None = None
        if method != "GET":
            self._may_write()
        if body is not None:
            # As a file: of bytes beyond one mebibyte, as a TrustBundle may have, aiohttp warns.
            data = Guarded(msgspec.json.encode(body), may_write=self._may_write)
            headers["Content-Type"] = content_type
        try:
            async with self._session.request(
                method,
                self.server + path,
                params=params,
                data=data,
                headers=headers,
                timeout=limits,
                # Who is not believed leads us nowhere else, be it to what only this machine reaches.
                allow_redirects=self.bounds is None,
            ) as response:
                if response.status >= 300:
                    raise await refusal_in(response, self.bounds, path=path)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error.__cause__, NotLeading):
                raise error.__cause__ from error
            raise _no_answer(self.server, error) from error

    async def _apply(self, path: str, body: Body, *, field_manager: str) -> bytes:
        # JSON is YAML, so the apply patch needs no other encoder.
        return await self.request(
            "PATCH",
            path,
            params={"fieldManager": field_manager, "force": "true"},
            body=body,
            content_type=_APPLY_PATCH,
        )

    async def _collection(self, api_version: str, kind: str, *, namespace: str) -> str:
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        if (api_version, kind) not in self._kinds:
            found = msgspec.json.decode(await self.request("GET", root), type=_ApiResourceList)
            for entry in found.resources:
                if "/" not in entry.name:
                    self._kinds[api_version, entry.kind] = entry.name, entry.namespaced
        if (api_version, kind) not in self._kinds:
            raise ApiError(status=404, reason="NotFound", message=f"no kind {kind} in {api_version}")
        plural, namespaced = self._kinds[api_version, kind]
        return f"{root}/namespaces/{namespace or 'default'}/{plural}" if namespaced else f"{root}/{plural}"


def _read(resource: Resource[T], raw: bytes, *, path: str) -> T:
    try:
        return resource.decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadAnswer(path=path, why=str(error)) from error


def _no_answer(server: str, error: Exception) -> Unreachable:
    is_stranger = isinstance(error, aiohttp.ClientConnectorCertificateError)
    return (NotTrusted if is_stranger else Unreachable)(server=server, why=str(error) or type(error).__name__)


def _selectors(*, labels: str, fields: str) -> dict[str, str]:
    both = {"labelSelector": labels, "fieldSelector": fields}
    return {name: text for name, text in both.items() if text}

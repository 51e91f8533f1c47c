"""Which kinds the member serves: a manifest's kind, and a plural of an inventory, to a resource.

What was found is believed until a request finds no such path; what was not is asked for anew each time:
its CustomResourceDefinition may have come. One answer tells of all kinds of a group version.
"""

import msgspec

from mesh_placement.decide.inventory import Ref
from mesh_placement.decide.manifests import Named
from mesh_placement.deliver.pace import Pace
from mesh_placement.deliver.seen import Seen
from mesh_runtime.kube import ApiError, KubeClient, Resource


class _Entry(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool


class _Entries(msgspec.Struct):
    resources: list[_Entry]


class _Version(msgspec.Struct, rename="camel"):
    version: str


class _Group(msgspec.Struct, rename="camel"):
    preferred_version: _Version


class Kinds:
    """The member's kinds, as far as they were asked for."""

    def __init__(self, member: KubeClient, *, pace: Pace) -> None:
        self._member = member
        self._pace = pace
        self._by_kind: dict[tuple[str, str], Resource[Seen]] = {}  # (apiVersion, kind)
        self._by_plural: dict[tuple[str, str], Resource[Seen]] = {}  # (group, plural)

    async def of(self, one: Named) -> Resource[Seen] | None:
        """How a manifest's kind is addressed; None while the member does not serve it."""
        key = one.api_version, one.kind
        if key not in self._by_kind:
            await self._learn(one.group, one.version)
        return self._by_kind.get(key)

    async def of_ref(self, ref: Ref) -> Resource[Seen] | None:
        """How an inventory's entry is addressed; None when its kind is not served any more."""
        key = ref.group, ref.resource
        if key not in self._by_plural:
            version = "v1" if not ref.group else await self._preferred(ref.group)
            if version:
                await self._learn(ref.group, version)
        return self._by_plural.get(key)

    def forget(self, resource: Resource[Seen]) -> None:
        """It is not served any more."""
        self._by_kind.pop((resource.api_version, resource.kind), None)
        self._by_plural.pop((resource.group, resource.plural), None)

    async def _preferred(self, group: str) -> str:
        raw = await self._read(f"/apis/{group}")
        return msgspec.json.decode(raw, type=_Group).preferred_version.version if raw else ""

    async def _learn(self, group: str, version: str) -> None:
        raw = await self._read(f"/apis/{group}/{version}" if group else f"/api/{version}")
        if raw is None:
            return
        for entry in msgspec.json.decode(raw, type=_Entries).resources:
            if "/" in entry.name:
                continue
            found = Resource(group, version, entry.name, entry.kind, Seen, entry.namespaced)
            self._by_kind[found.api_version, found.kind] = found
            self._by_plural.setdefault((group, entry.name), found)

    async def _read(self, path: str) -> bytes | None:
        await self._pace.turn()
        try:
            return await self._member.request("GET", path)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

"""What the member's API server says of itself: version, group/versions, Services' ranges.

There is no watch for that; it is asked at the start, when a definition of a kind changes, and every
`LOOK_AGAIN` seconds. All of it goes to the member's own API server; the hub is asked nothing.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Never, TypeVar

import msgspec

from mesh_core.errors import MeshError
from mesh_placement.agent.kinds import MemberKinds
from mesh_placement.decide.agent_report import ApiFacts
from mesh_runtime.kube import ApiError, BadAnswer, KubeClient
from mesh_runtime.log import logger

_log = logger(__name__)
T = TypeVar("T")

LOOK_AGAIN = 300.0
_SETTLE = 1.0  # seconds after a change of a definition until what it brings is served
_SERVICE_RANGES = ("networking.k8s.io/v1", "networking.k8s.io/v1beta1")


class _Version(msgspec.Struct, rename="camel"):
    git_version: str = ""


class _CoreVersions(msgspec.Struct):
    versions: list[str]


class _GroupVersion(msgspec.Struct, rename="camel"):
    group_version: str


class _Group(msgspec.Struct):
    versions: list[_GroupVersion]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Ranges(msgspec.Struct):
    cidrs: list[str] = msgspec.field(default_factory=list)


class _ServiceRange(msgspec.Struct):
    spec: _Ranges


class _ServiceRanges(msgspec.Struct):
    items: list[_ServiceRange]


class MemberApi:
    """`facts` are None until they were read once; `changed` is called when they are others."""

    def __init__(self, member: KubeClient, *, kinds: MemberKinds, changed: Callable[[], None]) -> None:
        self.facts: ApiFacts | None = None
        self._member = member
        self._changed = changed
        self._look_again = asyncio.Event()
        kinds.on_change(self._look_again.set)

    async def run(self) -> Never:
        """Look, for ever."""
        while True:
            self._look_again.clear()
            try:
                found = await read_api(self._member)
            except MeshError as error:
                _log.warning("the member's API server does not say what it serves", why=error.what)
            else:
                if found != self.facts:
                    self.facts = found
                    self._changed()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN):
                    await self._look_again.wait()
                    await asyncio.sleep(_SETTLE)


async def read_api(member: KubeClient) -> ApiFacts:
    """The facts; raises ApiError, Unreachable, BadAnswer."""
    version = await _read(member, "/version", type=_Version)
    core = await _read(member, "/api", type=_CoreVersions)
    groups = await _read(member, "/apis", type=_Groups)
    apis = [*core.versions, *(one.group_version for group in groups.groups for one in group.versions)]
    return ApiFacts(
        kubernetes=version.git_version,
        apis=tuple(sorted(apis)),
        service_cidrs=await _service_ranges(member, apis),
    )


async def _service_ranges(member: KubeClient, apis: list[str]) -> tuple[str, ...]:
    """The ServiceCIDRs (Kubernetes 1.33 and later), "none" before that and where we may not read them."""
    served = next((one for one in _SERVICE_RANGES if one in apis), None)
    if served is None:
        return ()
    try:
        found = await _read(member, f"/apis/{served}/servicecidrs", type=_ServiceRanges)
    except ApiError as error:
        if error.status in (403, 404):
            return ()
        raise
    return tuple(sorted({cidr for one in found.items for cidr in one.spec.cidrs}))


async def _read(member: KubeClient, path: str, *, type: type[T]) -> T:
    raw = await member.request("GET", path)
    try:
        return msgspec.json.decode(raw, type=type)
    except msgspec.DecodeError as error:
        raise BadAnswer(path=path, why=str(error)) from error

"""What the API server of a bed's cluster wrote down of who asked it for what (`meshctl local up --audit`)."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from mesh_fakes.bed import Bed
from mesh_fakes.waiting import until_found
from mesh_local.layout import ClusterFiles
from mesh_runtime.kube import KubeClient

READS = ("get", "list", "watch")
_CREDENTIAL = "authentication.kubernetes.io/credential-id"


class User(msgspec.Struct, frozen=True):
    """Who asked."""

    username: str = ""
    extra: dict[str, tuple[str, ...]] = {}


class Target(msgspec.Struct, frozen=True, rename="camel"):
    """What it was about; empty for what is no object."""

    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    api_group: str = ""


class Answer(msgspec.Struct, frozen=True):
    """The HTTP status."""

    code: int = 0


class Asked(msgspec.Struct, frozen=True, rename="camel"):
    """One request; one that goes on is written down at its beginning and at its end, by `stage`."""

    stage: str
    verb: str
    request_uri: str = msgspec.field(name="requestURI")
    request_received_timestamp: datetime
    stage_timestamp: datetime
    user: User = User()
    impersonated_user: User = User()
    object_ref: Target = Target()
    response_status: Answer = Answer()

    @property
    def credential(self) -> str:
        """Which token was shown: two programs with one account have different ones. "" for no token."""
        return "".join(self.user.extra.get(_CREDENTIAL, ()))

    @property
    def is_taken(self) -> bool:
        """Whether it was answered with what was asked for."""
        return 200 <= self.response_status.code < 300

    @property
    def is_read(self) -> bool:
        return self.verb in READS

    def __str__(self) -> str:
        when = self.request_received_timestamp.isoformat()
        return f"{when} {self.verb} {self.request_uri} {self.response_status.code}"


@dataclass(slots=True)
class AuditLog:
    """The log of one cluster, read from where the last look ended."""

    path: Path
    place: int = 0

    @classmethod
    def of(cls, bed: Bed, cluster: str) -> "AuditLog":
        return cls(ClusterFiles(bed.folder / cluster).audit_log)

    def news(self) -> list[Asked]:
        """What came since the last look."""
        with self.path.open("rb") as file:
            file.seek(self.place)
            lines = file.read().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        self.place += sum(map(len, whole))
        return [msgspec.json.decode(line, type=Asked) for line in whole]

    async def until_now(self, kube: KubeClient) -> list[Asked]:
        """What came since the last look and until this call: `kube` asks for something that shows it."""
        mark, found = uuid.uuid4().hex, list[Asked]()
        await kube.request("GET", f"/version?mark={mark}")

        async def is_there() -> bool:
            found.extend(self.news())
            return any(mark in one.request_uri for one in found)

        await until_found(is_there)
        return found

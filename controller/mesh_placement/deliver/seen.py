"""An object of the member as far as delivery looks at it: who owns its fields, its spec and its status."""

import hashlib

import msgspec
from msgspec import Raw, Struct, field
from msgspec.structs import force_setattr

from mesh_core.objects import KubernetesObject, Meta
from mesh_core.resource_version import is_earlier
from mesh_placement.decide.feedback import Json
from mesh_placement.names import LABEL_DISTRIBUTED, WORK_MANAGER

_NOTHING = Raw(b"{}")


class Managed(Struct, frozen=True, rename="camel", kw_only=True):
    """metav1.ManagedFieldsEntry; of the fields a digest is kept, which tells whether the set changed."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    fields_v1: Raw = field(default=_NOTHING, name="fieldsV1")

    def __post_init__(self) -> None:
        # Of thousands of objects the sets themselves would be most of what the cache holds.
        force_setattr(self, "fields_v1", Raw(hashlib.sha256(self.fields_v1).hexdigest()[:32].encode()))

    @property
    def digest(self) -> str:
        """Of the set of fields."""
        return bytes(self.fields_v1).decode()


class SeenMeta(Meta, frozen=True, rename="camel", kw_only=True):
    """metav1.ObjectMeta with who wrote what."""

    managed_fields: tuple[Managed, ...] = ()


class Seen(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """An object of any kind; spec and status are JSON, read only where somebody asks."""

    metadata: SeenMeta
    spec: Raw = _NOTHING
    status: Raw = _NOTHING

    def __post_init__(self) -> None:
        # A Raw is a view of the whole answer: without a copy it would keep all of that alive.
        force_setattr(self, "spec", self.spec.copy())
        force_setattr(self, "status", self.status.copy())

    @property
    def mark(self) -> str:
        """Digest of the fields that we own as who applies; another one, or "", when somebody took some."""
        for entry in self.metadata.managed_fields:
            if entry.manager == WORK_MANAGER and entry.operation == "Apply" and not entry.subresource:
                return entry.digest
        return ""

    @property
    def owners(self) -> tuple[str, ...]:
        """All who own fields of the object itself or its scale, each with a digest of which."""
        entries = [one for one in self.metadata.managed_fields if one.subresource != "status"]
        return tuple(sorted(f"{one.manager} {one.digest}" for one in entries))

    @property
    def others(self) -> tuple[str, ...]:
        """Managers of the object itself that are not we, sorted."""
        found = {one.manager for one in self.metadata.managed_fields if one.subresource != "status"}
        return tuple(sorted(found - {WORK_MANAGER}))

    @property
    def is_ours(self) -> bool:
        """Whether a Work brought it."""
        return LABEL_DISTRIBUTED in self.metadata.labels and bool(self.mark)

    def is_older_than(self, other: "Seen") -> bool:
        """Whether this is the same object earlier."""
        return is_earlier(self.metadata.resource_version, other.metadata.resource_version)


def json_of(raw: Raw) -> Json:
    """The object in `raw`, empty where it is none."""
    found = msgspec.json.decode(raw)
    return found if isinstance(found, dict) else {}

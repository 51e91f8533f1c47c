"""What a cluster tells its peers of one exported Service.

The same Struct travels on the peer stream, lies in ImportedRecord.spec and is what the merge takes; the
exporter's own contribution to its own import is one too, so that every cluster merges the same values.
"""

from typing import Literal

from msgspec import Struct, field


class RecordPort(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One exported port; `ready` is the number of ready endpoints behind it in the source cluster."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    ready: int = 0


class ExportRecord(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One Service as one cluster exports it (KEP-1645, "Constraints and Conflict Resolution").

    `created` is the creationTimestamp of the ServiceExport (RFC 3339, UTC): the oldest export wins a
    conflict. `session_affinity_timeout` is in seconds.
    """

    cluster: str
    namespace: str
    name: str
    created: str
    type: Literal["ClusterSetIP"] = "ClusterSetIP"
    ports: tuple[RecordPort, ...] = ()
    session_affinity: str = "None"
    session_affinity_timeout: int | None = None
    internal_traffic_policy: str | None = None
    traffic_distribution: str | None = None
    exported_labels: dict[str, str] = field(default_factory=dict)
    exported_annotations: dict[str, str] = field(default_factory=dict)
    ip_families: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name) of the Service, the same in every cluster."""
        return self.namespace, self.name

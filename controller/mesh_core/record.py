"""What a cluster tells its peers of one exported Service: a record, and shards of its endpoints.

The same Structs travel on the peer stream, lie in ImportedRecord.spec and ImportedShard.spec, and are what
the merge and the slices are computed from; the exporter's own contribution to its own import is made of them
too, so that every cluster computes from the same values.

1. A record says everything about the Service as a whole and counts its endpoints; it changes with them only
   when a count changes.
2. A shard is one slice of endpoints, as the exporter's own EndpointSlices divide them: what the change of
   one endpoint costs is one shard. A shard without a record says nothing.
"""

from enum import Enum
from typing import Literal

from msgspec import Struct, field

from mesh_core.allow import allow_of

MOST_IN_SHARD = 100
"""Endpoints of one shard."""


class Traffic(Enum):
    """How an importer that has local endpoints divides connections (annotation `meshctl.dev/traffic`)."""

    BALANCED = "balanced"
    LOCAL_FIRST = "local-first"


class RecordPort(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One exported port; `ready` is the number of ready endpoints behind it in the source cluster."""

    port: int
    name: str = ""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    app_protocol: str | None = None
    ready: int = 0


class ExportRecord(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One Service as one cluster exports it (KEP-1645, "Constraints and Conflict Resolution").

    `created` is the creationTimestamp of the ServiceExport (RFC 3339, UTC): the oldest export wins a
    conflict. `session_affinity_timeout` is in seconds. `allow` are the entries for those who alone may
    use the export (`mesh_core.allow`), None for every member. `zone_scope` is "<provider>/<region>" of
    the exporter, "" when it states none: zone names mean the same only where that is equal.
    """

    cluster: str
    namespace: str
    name: str
    created: str
    type: Literal["ClusterSetIP", "Headless"] = "ClusterSetIP"
    ports: tuple[RecordPort, ...] = ()
    session_affinity: str = "None"
    session_affinity_timeout: int | None = None
    internal_traffic_policy: str | None = None
    traffic_distribution: str | None = None
    exported_labels: dict[str, str] = field(default_factory=dict)
    exported_annotations: dict[str, str] = field(default_factory=dict)
    ip_families: tuple[str, ...] = ()
    traffic: Literal["balanced", "local-first"] = "balanced"
    allow: tuple[str, ...] | None = None
    zone_scope: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name) of the Service, the same in every cluster."""
        return self.namespace, self.name

    def allows(self, cluster: str) -> bool:
        """Whether anything in `cluster` may use the export; which of its pods is for the exporter to see."""
        return self.allow is None or cluster == self.cluster or allow_of(self.allow).names(cluster)

    def allows_whole(self, cluster: str) -> bool:
        """Whether everything in `cluster` may use the export, whatever it is."""
        return self.allow is None or cluster == self.cluster or allow_of(self.allow).allows(cluster)


class ShardPort(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One port of all endpoints of a shard: the number is the endpoints' own, not the Service's."""

    port: int
    name: str = ""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    app_protocol: str | None = None


class ShardEndpoint(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One endpoint; `serving` and `terminating` as in discovery/v1, already resolved to plain truth."""

    address: str
    hostname: str | None = None
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    zone: str | None = None


class Shard(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Up to `MOST_IN_SHARD` endpoints of one exported Service, of one address family, with one set of ports.

    `shard` is a name of ten characters (`mesh_core.names.shard_name`).
    """

    cluster: str
    namespace: str
    name: str
    shard: str
    address_type: Literal["IPv4", "IPv6"] = "IPv4"
    ports: tuple[ShardPort, ...] = ()
    endpoints: tuple[ShardEndpoint, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name) of the Service."""
        return self.namespace, self.name

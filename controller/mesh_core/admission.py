"""The door for what a peer says of its exports: hostile until checked, and checked once.

Failure rule 5: sizes bounded, names checked, the cluster id that of the certificate. A bad record is
refused with a sentence, and the good ones still apply.

1. Unknown fields are ignored, so that a newer peer can say more; known ones are read strictly.
2. A peer may not export into the namespaces of `REFUSED_NAMESPACES` or `kube-*`: what runs there belongs
   to a cluster, not to the clusterset.
3. What a peer claims is bounded: ports, ready endpoints, labels, annotations, time-outs, endpoints.
4. Our own records pass the same checks before we send them (`check`), without being encoded for it.

What a cluster's own policy makes of a record that is well-formed is in `mesh_core.import_policy`. The types
of the fields are those of the Structs; everything else is a plain check, because this is the hot path of
every change of an endpoint in every peer.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from mesh_core.allow import MOST_ENTRIES as MOST_ALLOWED
from mesh_core.errors import Fault, MeshError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.record import ExportRecord, RecordPort, Shard, ShardPort
from mesh_core.shard_fault import shard_fault

LONGEST_RECORD: Final = 64 * 1024
"""Bytes of one record."""
MOST_READY: Final = 10_000
"""Ready endpoints that a peer may claim behind one port; kube-proxy suffers long before."""
MOST_PORTS: Final = 64
REFUSED_NAMESPACES: Final = frozenset({"default", SYSTEM_NAMESPACE})
REFUSED_PREFIX: Final = "kube-"

EntryKey = tuple[str, str, str]
"""(namespace, name, shard) of what a peer tells; the shard is "" for the record of the Service itself."""

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(_LABEL)
# Services begin with a letter (RFC 1035), everything else may begin with a digit (RFC 1123).
_SERVICE: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SHARD: Final = re.compile(r"[a-z0-9]{10}")
_QUALIFIED: Final = re.compile(rf"({_LABEL}(\.{_LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_TIME: Final = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
)
_DISTRIBUTION: Final = re.compile(r"[A-Za-z0-9]{0,63}")
_SCOPE: Final = re.compile(r"[-a-z0-9/]{0,128}")
# Wider than what this version reads: an entry of a later one allows nobody, and hides no record.
_AUDIENCE: Final = re.compile(r"[-A-Za-z0-9./*@_:=~+]{1,400}")
_LONGEST_MAP: Final = 16 * 1024
_MOST_ENTRIES: Final = 64
_LONGEST_AFFINITY: Final = 86_400
# A character takes at most six bytes in JSON, a port without its application protocol at most these.
_BYTES_OF_CHARACTER: Final = 6
_BYTES_OF_PORT: Final = 160
_BYTES_OF_REST: Final = 1_024


class RecordRefused(MeshError):
    """One record of a peer is not taken; `key` is whose, or None when that much could not be read."""

    fault = Fault.PEER

    def __init__(self, what: str, *, key: EntryKey | None) -> None:
        super().__init__(what, next_step="change the export in the peer's cluster")
        self.key = key


class _Head(msgspec.Struct):
    """What is read first: of which Service an entry speaks, and whether it is one shard of it."""

    namespace: str = ""
    name: str = ""
    shard: str | None = None


_heads: Final = msgspec.json.Decoder(_Head)
_records: Final = msgspec.json.Decoder(ExportRecord)
_shards: Final = msgspec.json.Decoder(Shard)


def admit(raw: bytes, *, cluster: str) -> ExportRecord | Shard:
    """The record or shard in `raw` (JSON), sent by `cluster` as its certificate has it.

    Raises RecordRefused.
    """
    try:
        head = _heads.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordRefused(_sentence(error), key=None) from error
    key = _key(head)
    if len(raw) > LONGEST_RECORD:
        raise RecordRefused(f"a record has {len(raw)} bytes, more than {LONGEST_RECORD}", key=key)
    try:
        entry = _records.decode(raw) if head.shard is None else _shards.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordRefused(_told(key, fault=_sentence(error)), key=key) from error
    if entry.cluster != cluster:
        raise RecordRefused(_told(key, fault=f"it claims to be of another cluster than {cluster}"), key=key)
    check(entry)
    return entry


def check(entry: ExportRecord | Shard) -> None:
    """Raises RecordRefused if every peer would refuse the record or shard."""
    fault = record_fault(entry) if isinstance(entry, ExportRecord) else _whole_shard_fault(entry)
    if fault:
        key = _key(
            _Head(entry.namespace, entry.name, None if isinstance(entry, ExportRecord) else entry.shard)
        )
        raise RecordRefused(_told(key, fault=fault), key=key)


def record_fault(record: ExportRecord) -> str:
    """What is wrong with the record, "" when nothing is."""
    return (
        _names_fault(record)
        or _text_fault(record)
        or _ports_fault(record.ports, least=0 if record.type == "Headless" else 1)
        or _affinity_fault(record)
        or _audience_fault(record.allow)
        or _map_fault("exportedLabels", record.exported_labels, values=_LABEL_VALUE)
        or _map_fault("exportedAnnotations", record.exported_annotations, values=None)
        or _size_fault(record)
    )


def _whole_shard_fault(shard: Shard) -> str:
    if not _SHARD.fullmatch(shard.shard):
        return "shard: not the name of a shard"
    return _names_fault(shard) or _shard_ports_fault(shard.ports) or shard_fault(shard)


def _names_fault(entry: ExportRecord | Shard) -> str:
    if not _NAME.fullmatch(entry.cluster):
        return "cluster: not a cluster id"
    if not _NAME.fullmatch(entry.namespace):
        return "namespace: not the name of a namespace"
    if not _SERVICE.fullmatch(entry.name):
        return "name: not the name of a Service"
    if entry.namespace in REFUSED_NAMESPACES or entry.namespace.startswith(REFUSED_PREFIX):
        return "peers may not export into this namespace"
    return ""


def _text_fault(record: ExportRecord) -> str:
    """The fields of a closed choice, or of one pattern."""
    if not _TIME.fullmatch(record.created):
        return "created: not a time in UTC with whole seconds"
    if record.internal_traffic_policy not in (None, "Cluster", "Local"):
        return "internalTrafficPolicy: neither Cluster nor Local"
    if record.traffic_distribution is not None and not _DISTRIBUTION.fullmatch(record.traffic_distribution):
        return "trafficDistribution: not the name of one"
    if len(record.ip_families) > 2 or not {"IPv4", "IPv6"}.issuperset(record.ip_families):
        return "ipFamilies: not one or both of IPv4 and IPv6"
    if not _SCOPE.fullmatch(record.zone_scope):
        return "zoneScope: more than 128 characters, or others than a-z, 0-9, - and /"
    return ""


def _ports_fault(ports: tuple[RecordPort, ...], *, least: int) -> str:
    if not least <= len(ports) <= MOST_PORTS:
        return f"ports: there are {len(ports)}, not {least} to {MOST_PORTS}"
    if len({(port.protocol, port.port) for port in ports}) != len(ports):
        return "ports: two ports have one number"
    if any(not 0 <= port.ready <= MOST_READY for port in ports):
        return f"ports: ready is not between 0 and {MOST_READY}"
    return _each_port_fault(ports)


def _shard_ports_fault(ports: tuple[ShardPort, ...]) -> str:
    """Unlike a Service's own, two ports of an endpoint may have one number: two names lead to one socket."""
    if len(ports) > MOST_PORTS:
        return f"ports: there are {len(ports)}, more than {MOST_PORTS}"
    return _each_port_fault(ports)


def _each_port_fault(ports: Iterable[RecordPort | ShardPort]) -> str:
    names: set[str] = set()
    for port in ports:
        if not 1 <= port.port <= 65535:
            return "ports: a number is not between 1 and 65535"
        if port.name and not _NAME.fullmatch(port.name):
            return "ports: a name is not the name of a port"
        if port.app_protocol is not None and not is_qualified(port.app_protocol):
            return "ports: appProtocol is not the name of an application protocol"
        if port.name in names:
            return "ports: two ports have one name"
        names.add(port.name)
    return "ports: one of several ports has no name" if len(names) > 1 and "" in names else ""


def _affinity_fault(record: ExportRecord) -> str:
    timeout = record.session_affinity_timeout
    if record.session_affinity not in ("None", "ClientIP"):
        return "sessionAffinity: neither None nor ClientIP"
    if (record.session_affinity == "ClientIP") != (timeout is not None):
        return "sessionAffinityTimeout: it belongs to sessionAffinity ClientIP"
    if timeout is not None and not 1 <= timeout <= _LONGEST_AFFINITY:
        return f"sessionAffinityTimeout: not between 1 and {_LONGEST_AFFINITY}"
    return ""


def _audience_fault(allow: tuple[str, ...] | None) -> str:
    if allow is None:
        return ""
    if len(allow) > MOST_ALLOWED:
        return f"allow: more than {MOST_ALLOWED} entries"
    return "" if all(map(_AUDIENCE.fullmatch, allow)) else "allow: one is no entry"


def _map_fault(field: str, entries: Mapping[str, str], *, values: re.Pattern[str] | None) -> str:
    if not entries:
        return ""
    if len(entries) > _MOST_ENTRIES:
        return f"{field}: more than {_MOST_ENTRIES}"
    if not all(map(is_qualified, entries)):
        return f"{field}: not the key of a label or annotation"
    if values is not None and not all(map(values.fullmatch, entries.values())):
        return f"{field}: not the value of a label"
    return f"{field}: more than {_LONGEST_MAP} characters" if _length(entries) > _LONGEST_MAP else ""


def _size_fault(record: ExportRecord) -> str:
    """Counted exactly only where it might be too much."""
    characters = _length(record.exported_labels) + _length(record.exported_annotations)
    protocols = sum(len(port.app_protocol or "") for port in record.ports)
    bound = _BYTES_OF_REST + _BYTES_OF_CHARACTER * characters + _BYTES_OF_PORT * len(record.ports) + protocols
    bound += sum(len(entry) + 3 for entry in record.allow or ())
    if bound <= LONGEST_RECORD:
        return ""
    size = len(msgspec.json.encode(record))
    return f"a record has {size} bytes, more than {LONGEST_RECORD}" if size > LONGEST_RECORD else ""


def is_qualified(name: str) -> bool:
    """Kubernetes' qualified name: an optional DNS subdomain of at most 253 characters, and a name."""
    return len(name) <= 317 and len(name.rpartition("/")[0]) <= 253 and bool(_QUALIFIED.fullmatch(name))


def _length(entries: Mapping[str, str]) -> int:
    return sum(map(len, entries)) + sum(map(len, entries.values()))


def _key(head: _Head) -> EntryKey | None:
    """Which Service a refused record speaks of, if that much of it reads."""
    shard = head.shard or ""
    if not (_NAME.fullmatch(head.namespace) and _SERVICE.fullmatch(head.name)):
        return None
    if head.shard is not None and not _SHARD.fullmatch(shard):
        return None
    return head.namespace, head.name, shard


def _told(key: EntryKey | None, *, fault: str) -> str:
    return f"{key[0]}/{key[1]}: {fault}" if key is not None else fault


def _sentence(error: Exception) -> str:
    """What does not read; the input itself is the peer's text and is left out."""
    if isinstance(error, RecursionError):
        return "the record is nested too deeply"
    what, _, place = str(error).partition(" - at `")
    if what.startswith("Invalid enum value"):
        what = "a value that is not known"
    if not isinstance(error, msgspec.ValidationError):
        what = "not JSON"
    return f"{place.strip('`$.')[:100] or 'the record'}: {what[:200]}"

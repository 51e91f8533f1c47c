"""The door for what a peer says of its exports: hostile until checked, and checked once.

Failure rule 5: sizes bounded, names checked, the cluster id that of the certificate. A bad record is
refused with a sentence, and the good ones still apply.

1. Unknown fields are ignored, so that a newer peer can say more; known ones are read strictly.
2. A peer may not export into the namespaces of `REFUSED_NAMESPACES` or `kube-*`: what runs there belongs
   to a cluster, not to the clusterset.
3. What a peer claims is bounded: ports, ready endpoints, labels, annotations, time-outs.
"""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from mesh_core.errors import Fault, MeshError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.record import ExportRecord, RecordPort

LONGEST_RECORD: Final = 64 * 1024
"""Bytes of one record."""
MOST_READY: Final = 10_000
"""Ready endpoints that a peer may claim behind one port; kube-proxy suffers long before."""
REFUSED_NAMESPACES: Final = frozenset({"default", SYSTEM_NAMESPACE})
REFUSED_PREFIX: Final = "kube-"

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_PORT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_QUALIFIED_NAME: Final = re.compile(
    rf"({_LABEL}(\.{_LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"
)
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
# The patterns of pydantic's fields are Rust's: "$" is the end of the text, never before a line break.
_TIME: Final = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
_LONGEST_MAP: Final = 16 * 1024


class RecordRefused(MeshError):
    """One record of a peer is not taken; `key` is (namespace, name), or None when it could not be read."""

    fault = Fault.PEER

    def __init__(self, what: str, *, key: tuple[str, str] | None) -> None:
        super().__init__(what, next_step="change the export in the peer's cluster")
        self.key = key


def admit(raw: bytes, *, cluster: str) -> ExportRecord:
    """The record in `raw` (JSON), sent by `cluster` as its certificate has it.

    Raises RecordRefused.
    """
    if len(raw) > LONGEST_RECORD:
        raise RecordRefused(f"a record has {len(raw)} bytes, more than {LONGEST_RECORD}", key=_key_in(raw))
    try:
        claim = _Record.model_validate_json(raw)
    except ValidationError as error:
        raise RecordRefused(_sentence(error), key=_key_in(raw)) from error
    key = (claim.namespace, claim.name)
    if claim.cluster != cluster:
        raise RecordRefused(f"{key[0]}/{key[1]} claims to be of another cluster than {cluster}", key=key)
    if claim.namespace in REFUSED_NAMESPACES or claim.namespace.startswith(REFUSED_PREFIX):
        raise RecordRefused(f"{key[0]}/{key[1]}: peers may not export into this namespace", key=key)
    return _record(claim)


def _distinct_ports(ports: tuple["_Port", ...]) -> tuple["_Port", ...]:
    names = {port.name for port in ports}
    numbers = {(port.protocol, port.port) for port in ports}
    if len(names) != len(ports) or len(numbers) != len(ports):
        raise ValueError("two ports have one name or one number")
    if len(ports) > 1 and "" in names:
        raise ValueError("one of several ports has no name")
    return ports


def _port_name(name: str) -> str:
    if name and not _PORT_NAME.fullmatch(name):
        raise ValueError("not the name of a port")
    return name


def _is_qualified(name: str) -> bool:
    """Kubernetes' qualified name: an optional DNS subdomain of at most 253 characters, and a name."""
    return len(name.rpartition("/")[0]) <= 253 and bool(_QUALIFIED_NAME.fullmatch(name))


def _app_protocol(name: str | None) -> str | None:
    if name is not None and not _is_qualified(name):
        raise ValueError("not the name of an application protocol")
    return name


def _labels(entries: dict[str, str]) -> dict[str, str]:
    if not all(_LABEL_VALUE.fullmatch(value) for value in entries.values()):
        raise ValueError("not the value of a label")
    return _small(entries)


def _small(entries: dict[str, str]) -> dict[str, str]:
    if not all(_is_qualified(key) for key in entries):
        raise ValueError("not the key of a label or annotation")
    if sum(len(key) + len(value) for key, value in entries.items()) > _LONGEST_MAP:
        raise ValueError("more characters than are taken")
    return entries


class _Claim(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, alias_generator=to_camel)


_Name = Annotated[str, Field(pattern=rf"^{_LABEL}$", max_length=63)]
# Services begin with a letter (RFC 1035), everything else may begin with a digit (RFC 1123).
_ServiceName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$", max_length=63)]
_Map = Annotated[dict[str, str], Field(max_length=64)]


class _Port(_Claim):
    name: Annotated[str, Field(max_length=63), AfterValidator(_port_name)] = ""
    protocol: Literal["TCP"] = "TCP"
    port: Annotated[int, Field(ge=1, le=65535)]
    app_protocol: Annotated[str | None, Field(max_length=317), AfterValidator(_app_protocol)] = None
    ready: Annotated[int, Field(ge=0, le=MOST_READY)] = 0


class _Record(_Claim):
    cluster: _Name
    namespace: _Name
    name: _ServiceName
    created: Annotated[str, Field(pattern=rf"^{_TIME}$")]
    type: Literal["ClusterSetIP"] = "ClusterSetIP"
    ports: Annotated[tuple[_Port, ...], Field(min_length=1, max_length=64), AfterValidator(_distinct_ports)]
    session_affinity: Literal["None", "ClientIP"] = "None"
    session_affinity_timeout: Annotated[int, Field(ge=1, le=86400)] | None = None
    internal_traffic_policy: Literal["Cluster", "Local"] | None = None
    traffic_distribution: Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z0-9]*$")] | None = None
    exported_labels: Annotated[_Map, AfterValidator(_labels)] = Field(default_factory=dict)
    exported_annotations: Annotated[_Map, AfterValidator(_small)] = Field(default_factory=dict)
    ip_families: Annotated[tuple[Literal["IPv4", "IPv6"], ...], Field(max_length=2)] = ()

    @model_validator(mode="after")
    def _affinity_has_its_config(self) -> "_Record":
        if (self.session_affinity == "ClientIP") != (self.session_affinity_timeout is not None):
            raise ValueError("sessionAffinityTimeout belongs to sessionAffinity ClientIP")
        return self


class _Key(_Claim):
    namespace: _Name
    name: _ServiceName


def _key_in(raw: bytes) -> tuple[str, str] | None:
    """Which Service a refused record speaks of, if that much of it reads."""
    try:
        key = _Key.model_validate_json(raw)
    except ValidationError:
        return None
    return key.namespace, key.name


def _sentence(error: ValidationError) -> str:
    """What is wrong first; the input itself is the peer's text and is left out."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the record"
    return f"{place[:100]}: {first['msg'][:200]}"


def _record(claim: _Record) -> ExportRecord:
    return ExportRecord(
        cluster=claim.cluster,
        namespace=claim.namespace,
        name=claim.name,
        created=claim.created,
        type=claim.type,
        ports=tuple(
            RecordPort(
                port=port.port,
                name=port.name,
                protocol=port.protocol,
                app_protocol=port.app_protocol,
                ready=port.ready,
            )
            for port in claim.ports
        ),
        session_affinity=claim.session_affinity,
        session_affinity_timeout=claim.session_affinity_timeout,
        internal_traffic_policy=claim.internal_traffic_policy,
        traffic_distribution=claim.traffic_distribution,
        exported_labels=claim.exported_labels,
        exported_annotations=claim.exported_annotations,
        ip_families=claim.ip_families,
    )

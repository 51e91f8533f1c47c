"""The scene's Services and exports: one name for each question, all in one namespace of both clusters.

`Exported` says what one cluster has of one name. East's exports are the older ones: west's come a second
later, which is as fine as creationTimestamp is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from live.mcs.pods import PORT, Manifest

BARE = {"app": "bare"}
ONE = {"which": "one"}
TCP: Manifest = {"name": "tcp", "port": 42, "protocol": "TCP", "targetPort": PORT}
UDP: Manifest = {"name": "udp", "port": 42, "protocol": "UDP", "targetPort": PORT}
TCP_AND_UDP = (TCP, UDP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One Service and, unless `export` is False, its ServiceExport."""

    name: str
    ports: Sequence[Manifest] = (TCP,)
    selector: Mapping[str, str] | None = None
    spec: Manifest = field(default_factory=dict)
    """What else the Service's spec holds."""
    about: Manifest = field(default_factory=dict)
    """The ServiceExport's spec."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """The ServiceExport's annotations."""
    export: bool = True
    service: bool = True

    def service_manifest(self) -> Manifest:
        # Nothing of this metadata may be seen in an import: KEP-1645, "Labels and annotations".
        meta = {"name": self.name, "labels": {"dummy-svc": "x"}, "annotations": {"dummy-svc": "x"}}
        spec: Manifest = {"ports": list(self.ports), **self.spec}
        if self.selector is not None:
            spec["selector"] = dict(self.selector)
        return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}

    def export_manifest(self) -> Manifest:
        annotations = {"dummy-svcexport": "x", **self.annotations}
        meta = {"name": self.name, "labels": {"dummy-svcexport": "x"}, "annotations": annotations}
        kind = {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport"}
        return {**kind, "metadata": meta, "spec": self.about}


def tcp(port: int, *, name: str = "tcp", target: int | str = PORT) -> Manifest:
    """A TCP port of a Service."""
    return {"name": name, "port": port, "protocol": "TCP", "targetPort": target}


HEADLESS: Manifest = {"clusterIP": "None"}
STICKY: Manifest = {"sessionAffinity": "ClientIP"}


def sticky_for(seconds: int) -> Manifest:
    """Session affinity that lasts that long."""
    return {**STICKY, "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}


CLOSE: Manifest = {"trafficDistribution": "PreferClose"}
LOCAL: Manifest = {"internalTrafficPolicy": "Local"}
LOCAL_FIRST = {"meshctl.dev/traffic": "local-first"}
SCTP: Manifest = {"name": "stcp", "port": 142, "protocol": "SCTP", "targetPort": PORT}
LABELLED: Manifest = {"exportedLabels": {"team": "a"}, "exportedAnnotations": {"note": "a"}}

_PLAIN = ("gone", "both", "flips", "deleted", "withdrawn", "changed")

EAST: Sequence[Exported] = (
    Exported(
        name="hello",
        ports=TCP_AND_UDP,
        selector=BARE,
        spec={**sticky_for(10), **CLOSE, "internalTrafficPolicy": "Cluster"},
        about=LABELLED,
    ),
    *(Exported(name=name, selector=BARE) for name in _PLAIN),
    Exported(name="secret", selector=BARE, export=False),
    Exported(name="node-port", selector=BARE, spec={"type": "NodePort"}),
    Exported(name="empty", selector={"app": "nobody"}),
    # Conflicts; east's is the older one.
    Exported(name="union", ports=TCP_AND_UDP, selector=BARE),
    Exported(name="renumbered", ports=TCP_AND_UDP, selector=BARE),
    Exported(name="same-name", selector=BARE),
    Exported(name="same-number", selector=BARE),
    Exported(name="other-name", selector=BARE),
    Exported(name="kinds", selector=BARE),
    Exported(name="maps", selector=BARE, about=LABELLED),
    Exported(name="affinity", selector=BARE, spec=STICKY),
    Exported(name="affinity-timeout", selector=BARE, spec=sticky_for(10)),
    Exported(name="policy", selector=BARE),
    Exported(name="distribution", selector=BARE, spec=CLOSE),
    Exported(name="traffic", selector=BARE, annotations=LOCAL_FIRST),
    # Headless.
    Exported(name="headless", ports=TCP_AND_UDP, selector=BARE, spec=HEADLESS),
    Exported(name="headless-empty", selector={"app": "nobody"}, spec=HEADLESS),
    Exported(name="headless-gone", selector=BARE, spec=HEADLESS),
    Exported(name="mixed", ports=(tcp(42, target="main"),), selector=BARE, spec=HEADLESS),
    Exported(name="db", ports=(tcp(5432, target="main"),), selector={"app": "db"}, spec=HEADLESS),
    # What is refused, and what is exported under a condition.
    Exported(name="external", ports=(), spec={"type": "ExternalName", "externalName": "example.com"}),
    Exported(name="no-service", service=False),
    Exported(name="only-sctp", ports=(SCTP,), selector=BARE),
    Exported(name="unknown-policy", selector=BARE, annotations={"meshctl.dev/only": "east"}),
    Exported(name="bad-policy", selector=BARE, annotations={"meshctl.dev/traffic": "fastest"}),
    Exported(name="for-north", selector=BARE, annotations={"meshctl.dev/allow": "north"}),
    Exported(name="for-west", selector=BARE, annotations={"meshctl.dev/allow": "west"}),
    # Without a selector: scene writes its slices when the pods have their addresses.
    Exported(name="manual"),
    # How traffic is divided.
    Exported(name="named-port", ports=(tcp(42, target="main"),), selector=BARE),
    Exported(name="shared", selector=ONE),
    Exported(name="local-first", selector=BARE, annotations=LOCAL_FIRST),
    Exported(name="only-local", selector=BARE, spec=LOCAL),
    Exported(name="close", selector=BARE, spec=CLOSE),
    Exported(name="taken", selector=BARE),
)

WEST: Sequence[Exported] = (
    # The same Service, with pods behind it, that nobody exports.
    Exported(name="hello", ports=TCP_AND_UDP, selector=BARE, export=False),
    Exported(name="both", selector=BARE),
    Exported(name="flips", ports=(tcp(42, name="web"),), selector=BARE),
    Exported(name="empty", service=False),
    Exported(name="union", ports=(TCP, SCTP), selector=BARE),
    Exported(name="renumbered", ports=(tcp(43),), selector=BARE),
    Exported(name="same-name", ports=(tcp(4242),), selector=BARE),
    Exported(name="same-number", ports=(tcp(42, name="web"),), selector=BARE),
    Exported(name="other-name", ports=(tcp(4242, name="tcp2"),), selector=BARE),
    Exported(name="kinds", selector=BARE, spec=HEADLESS),
    Exported(
        name="maps", selector=BARE, about={"exportedLabels": {"b": "b"}, "exportedAnnotations": {"b": "b"}}
    ),
    Exported(name="affinity", selector=BARE),
    Exported(name="affinity-timeout", selector=BARE, spec=sticky_for(20)),
    Exported(name="policy", selector=BARE, spec=LOCAL),
    Exported(name="distribution", selector=BARE),
    Exported(name="traffic", selector=BARE),
    Exported(name="shared", selector=BARE),
    Exported(name="local-first", selector={"app": "near"}, annotations=LOCAL_FIRST),
    Exported(name="only-local", selector=BARE, spec=LOCAL),
    Exported(name="close", selector=BARE, spec=CLOSE),
)

"""Faults of what is shared: exports, imports, endpoints, policies, what was left behind."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from faults.ground import Ground, Object
from faults.installed import east, west
from faults.scoring import Fault
from mesh_core.names import (
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    MANAGER,
    RESTING_PORTS_CONFIG_MAP,
    SYSTEM_NAMESPACE,
    shadow_service_name,
)

Made = Callable[[Ground], AbstractContextManager[object]]
HOME = "demo"
SHADOW = shadow_service_name(namespace=HOME, name="hello")
MCS = "multicluster.x-k8s.io/v1beta1"


def export(name: str, **metadata: object) -> Object:
    meta = {"name": name, "namespace": HOME, **metadata}
    return {"apiVersion": MCS, "kind": "ServiceExport", "metadata": meta}


def plain_service(name: str, **spec: object) -> Object:
    said = {"ports": [{"port": 81, "name": "other"}], **spec}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": HOME},
        "spec": said,
    }


def policy(direction: str) -> Object:
    meta = {"name": "default-deny", "namespace": HOME}
    spec = {"podSelector": {}, "policyTypes": [direction]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}


def added(cluster: str, *manifests: Object) -> Made:
    return lambda ground: ground.added(cluster, *manifests)


def unattended(made: Made) -> Made:
    """The fault while no controller runs in east: with one, it is mended within a second."""

    @contextmanager
    def both(ground: Ground) -> Iterator[None]:
        with ground.unattended("east"), made(ground):
            yield

    return both


def gone(kind: str, name: str) -> Made:
    """An object that we derived is deleted; the controller makes it again later."""

    @contextmanager
    def made(ground: Ground) -> Iterator[None]:
        ground.kubectl("east", "-n", HOME, "delete", kind, name)
        yield

    return made


def emptied(ground: Ground) -> AbstractContextManager[None]:
    """The imported slice without its endpoints."""
    return ground.changed("east", "endpointslice", "hello.west.ipv4", _empty, namespace=HOME)


def _empty(found: Object) -> None:
    found["endpoints"] = []


@contextmanager
def forged(ground: Ground) -> Iterator[None]:
    """A stored record of west that says something else than west."""
    names = ground.kubectl("east", "-n", SYSTEM_NAMESPACE, "get", "importedrecords", "-o", "name").split()
    (name,) = [one.partition("/")[2] for one in names if "hello" in one]

    def change(found: Object) -> None:
        found["spec"]["ports"][0]["ready"] = 7

    with ground.changed("east", "importedrecord", name, change, namespace=SYSTEM_NAMESPACE):
        yield


@contextmanager
def fewer_endpoints(ground: Ground) -> Iterator[None]:
    """West has one endpoint less, and nobody in east hears of it."""
    with ground.scaled("west", "hello", 1, namespace=HOME):
        yield


def _ours(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/managed-by": MANAGER, LABEL_SERVICE_NAME: name}


LEFT_SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "derived-left-over", "namespace": HOME, "labels": _ours("left-over")},
    "spec": {"ports": [{"port": 80}]},
}
LEFT_SLICE: Object = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "left-over.west.ipv4",
        "namespace": HOME,
        "labels": {LABEL_SLICE_MANAGED_BY: MANAGER, LABEL_SERVICE_NAME: "left-over"},
    },
    "addressType": "IPv4",
    "endpoints": [],
    "ports": [],
}
LEFT_LEASE: Object = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "peer-gone", "namespace": SYSTEM_NAMESPACE},
    "spec": {"holderIdentity": "gone"},
}


def resting(count: int) -> Object:
    """That many egress ports at rest."""
    meta = {"name": RESTING_PORTS_CONFIG_MAP, "namespace": SYSTEM_NAMESPACE}
    data = {str(port): "4000000000 x" for port in range(16384, 16384 + count)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def _worn(count: int) -> Made:
    @contextmanager
    def made(ground: Ground) -> Iterator[None]:
        place = "-n", SYSTEM_NAMESPACE, "delete", "configmap", RESTING_PORTS_CONFIG_MAP
        ground.kubectl("east", *place, "--ignore-not-found")
        try:
            ground.kubectl("east", "create", "-f", "-", feed=resting(count))
            yield
        finally:
            ground.kubectl("east", *place, "--ignore-not-found")

    return made


@contextmanager
def clashing(ground: Ground) -> Iterator[None]:
    """Both export a Service of one name, with other ports."""
    ports = [{"port": 82, "name": "other"}]
    with (
        ground.added("west", plain_service("clash"), export("clash")),
        ground.added("east", plain_service("clash", ports=ports), export("clash")),
    ):
        yield


def hello_scaled(ground: Ground) -> AbstractContextManager[None]:
    return ground.scaled("west", "hello", 0, namespace=HOME)


ALLOW = {"meshctl.dev/no-such-thing": "x"}
SHARED = (
    Fault(
        "an export of a Service that is not there",
        west("SVC-001"),
        added("west", export("nobody")),
        ("is False",),
    ),
    Fault(
        "an export with a word that nobody knows",
        west("SVC-001"),
        added("west", plain_service("odd"), export("odd", annotations=ALLOW)),
    ),
    Fault(
        "an export of an ExternalName",
        west("SVC-001"),
        added("west", plain_service("far", type="ExternalName", externalName="example.org"), export("far")),
    ),
    Fault(
        "an export without any endpoint",
        west("SVC-004"),
        added("west", plain_service("empty"), export("empty")),
        ("no endpoint",),
        breaks=False,
    ),
    Fault(
        "two clusters export one name differently",
        (*west("SVC-002"), *east("SVC-002")),
        clashing,
        breaks=False,
    ),
    Fault("all pods of an export are gone", west("SVC-004"), hello_scaled, ("demo/hello",), breaks=False),
    Fault(
        "callers may not go out",
        east("SVC-007"),
        added("east", policy("Egress")),
        ("out to no gateway",),
        breaks=False,
    ),
    Fault(
        "gateways may not come in",
        west("SVC-007"),
        added("west", policy("Ingress")),
        ("let no gateway in",),
        breaks=False,
    ),
    Fault(
        "an imported slice is deleted",
        east("SVC-005"),
        unattended(gone("endpointslice", "hello.west.ipv4")),
        ("no EndpointSlice",),
    ),
    Fault("an imported slice is emptied", east("SVC-005"), unattended(emptied), ("no EndpointSlice",)),
    Fault(
        "the Service of an import is deleted",
        east("SVC-005"),
        unattended(gone("service", SHADOW)),
        ("not the Service",),
    ),
    Fault(
        "a ServiceImport is deleted",
        east("SVC-005"),
        unattended(gone("serviceimport", "hello")),
        ("no ServiceImport",),
    ),
    Fault(
        "a stored record is changed by hand", west("SVC-006"), unattended(forged), ("other endpoints there",)
    ),
    Fault(
        "endpoints change and nobody hears it",
        west("SVC-006"),
        unattended(fewer_endpoints),
        ("other endpoints there",),
    ),
    Fault(
        "a Service is left over",
        east("LEFT-001"),
        unattended(added("east", LEFT_SERVICE)),
        ("derived-left-over",),
        breaks=False,
    ),
    Fault(
        "an EndpointSlice is left over",
        east("LEFT-001"),
        unattended(added("east", LEFT_SLICE)),
        ("left-over.west",),
        breaks=False,
    ),
    Fault(
        "a Lease of a peer that is gone",
        east("LEFT-002"),
        unattended(added("east", LEFT_LEASE)),
        ("gone",),
        breaks=False,
    ),
    Fault("most egress ports are used", east("GW-005"), unattended(_worn(9000)), ("at rest",), breaks=False),
    Fault("no egress port is left", east("GW-005"), unattended(_worn(16384)), ("at rest",)),
)

"""Faults of what is installed: kinds, rights, programs, their Services, cluster DNS."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from faults.ground import Ground, Object, stopped
from faults.scoring import Fault
from live.api_server import api_server_of
from mesh_core.names import CONTROLLER, DNS, GATEWAY, SYSTEM_NAMESPACE

Made = Callable[[Ground], AbstractContextManager[object]]
CONSUMER = "east"
_TLD = "clusterset.local"


def unserved(kind: str, version: str) -> Made:
    """A CustomResourceDefinition that does not serve a version any more."""

    def change(found: Object) -> None:
        for one in found["spec"]["versions"]:
            if one["name"] == version:
                one["served"] = False

    return lambda ground: ground.changed("east", "crd", kind, change)


def rules(change: Callable[[list[Any]], None], *, role: str) -> Made:
    """A ClusterRole of ours with other rules."""
    return lambda ground: ground.changed("east", "clusterrole", role, lambda found: change(found["rules"]))


def labelled(value: str | None) -> Made:
    """The namespace with another Pod Security profile, or none."""

    def change(found: Object) -> None:
        labels = found["metadata"]["labels"]
        if value is None:
            labels.pop("pod-security.kubernetes.io/enforce", None)
        else:
            labels["pod-security.kubernetes.io/enforce"] = value

    return lambda ground: ground.changed("east", "namespace", SYSTEM_NAMESPACE, change)


def template(deployment: str, change: Callable[[Object], None], *, cluster: str = "east") -> Made:
    """A Deployment of ours with another pod template."""
    return lambda ground: ground.template(
        cluster, deployment, lambda found: change(found["spec"]["template"]["spec"])
    )


def service(name: str, change: Callable[[Object], None], *, cluster: str) -> Made:
    """A Service of ours with another spec."""
    return lambda ground: ground.changed(
        cluster, "service", name, lambda found: change(found["spec"]), namespace=SYSTEM_NAMESPACE
    )


def corefile(change: Callable[[str], str]) -> Made:
    """Another Corefile."""

    def edit(found: Object) -> None:
        text = found["data"]["Corefile"]
        found["data"]["Corefile"] = change(text)
        assert found["data"]["Corefile"] != text

    return lambda ground: ground.changed("east", "configmap", "coredns", edit, namespace="kube-system")


def without_stub(text: str) -> str:
    begin, end = "# meshctl begin", "# meshctl end\n"
    return text[: text.index(begin)] + text[text.index(end) + len(end) :]


def foreign_block(text: str) -> str:
    return f"{_TLD}:53 {{\n    forward . 10.0.0.9\n}}\n{without_stub(text)}"


def with_another_port(spec: Object) -> None:
    for port in spec["ports"]:
        port["nodePort"] = 30999 if port.get("nodePort") != 30999 else 30998


def as_load_balancer(spec: Object) -> None:
    spec["type"] = "LoadBalancer"


def selecting_nobody(spec: Object) -> None:
    spec["selector"] = {"app": "nobody"}


@contextmanager
def without_service(ground: Ground) -> Iterator[None]:
    with ground.removed("west", "service", GATEWAY, namespace=SYSTEM_NAMESPACE):
        yield


@contextmanager
def api_server_stopped(ground: Ground) -> Iterator[None]:
    with stopped(api_server_of(ground.bed, cluster="east")):
        yield


@contextmanager
def other_image(ground: Ground) -> Iterator[None]:
    """The dns Deployment of a name that no node has."""

    def change(spec: Object) -> None:
        spec["containers"][0]["image"] = "meshctl.dev/clusterset-mesh:9.9.9"

    with template(DNS, change)(ground):
        yield


def _nowhere(spec: Object) -> None:
    spec["nodeSelector"] = {"nowhere": "yes"}


def _crashing(spec: Object) -> None:
    spec["containers"][0]["args"] = ["--no-such-option"]


@contextmanager
def answered_before(ground: Ground) -> Iterator[None]:
    """A plugin in our block answers before the stub; CoreDNS is started anew, since kubelet takes a minute
    to bring a pod another ConfigMap."""
    before = "    errors\n    forward"
    plugin = "    errors\n    template ANY ANY {\n        rcode NXDOMAIN\n    }\n    forward"
    restart = "-n", "kube-system", "rollout", "restart", "deployment", "coredns"
    try:
        with corefile(lambda text: text.replace(before, plugin, 1))(ground):
            ground.kubectl("east", *restart)
            ground.rolled_out("east", "coredns", namespace="kube-system")
            yield
    finally:
        ground.kubectl("east", *restart)
        ground.rolled_out("east", "coredns", namespace="kube-system")


def _binding(name: str, *, role: str, account: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": SYSTEM_NAMESPACE}],
    }


def removed(kind: str, name: str, *, namespace: str = "", cluster: str = "east") -> Made:
    """Without that object."""
    return lambda ground: ground.removed(cluster, kind, name, namespace=namespace)


def scaled(deployment: str, count: int, *, cluster: str = "east") -> Made:
    return lambda ground: ground.scaled(cluster, deployment, count)


def frozen(component: str, *, cluster: str = "east") -> Made:
    return lambda ground: ground.frozen(cluster, component)


def east(id_: str) -> tuple[tuple[str, str], ...]:
    return (("east", f"MESH-{id_}"),)


def west(id_: str) -> tuple[tuple[str, str], ...]:
    return (("west", f"MESH-{id_}"),)


PROBES = "serviceprobes.meshctl.dev"
IMPORTS = "serviceimports.multicluster.x-k8s.io"
API = (
    Fault("a kind is deleted", east("API-002"), removed("crd", PROBES), ("is not installed",)),
    Fault("a version is not served", east("API-002"), unserved(IMPORTS, "v1alpha1"), ("not v1alpha1",)),
    Fault(
        "a ClusterRoleBinding is deleted",
        east("API-004"),
        removed("clusterrolebinding", CONTROLLER),
        ("may not",),
    ),
    Fault(
        "a RoleBinding is deleted",
        east("API-004"),
        removed("rolebinding", GATEWAY, namespace=SYSTEM_NAMESPACE),
        ("may not",),
    ),
    Fault(
        "a rule is taken out of a ClusterRole",
        east("API-004"),
        rules(lambda all_of: all_of.pop(), role=CONTROLLER),
        ("may not",),
    ),
    Fault(
        "an account has a right more by its own role",
        east("API-004"),
        rules(
            lambda all_of: all_of.append({"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]}),
            role=DNS,
        ),
        ("delete pods",),
        breaks=False,
    ),
    Fault(
        "somebody binds an account of ours to more",
        east("API-004"),
        lambda ground: ground.added("east", _binding("too-much", role="view", account=DNS)),
        ("too-much",),
        breaks=False,
    ),
    Fault(
        "the namespace has no Pod Security profile", east("API-005"), labelled(None), ("''",), breaks=False
    ),
    Fault(
        "the namespace is privileged",
        east("API-005"),
        labelled("privileged"),
        ("'privileged'",),
        breaks=False,
    ),
    Fault(
        "the API server stands still",
        east("API-001"),
        api_server_stopped,
        ("did not answer", "does not answer"),
    ),
)
PROGRAMS = (
    Fault(
        "the controllers are scaled to none", east("GW-002"), scaled(CONTROLLER, 0), ("scaled to no pods",)
    ),
    Fault("the gateways are scaled to none", east("GW-001"), scaled(GATEWAY, 0), ("scaled to no pods",)),
    Fault("mesh-dns is scaled to none", east("DNS-001"), scaled(DNS, 0), ("scaled to no pods",)),
    Fault("one gateway alone", east("GW-001"), scaled(GATEWAY, 1), ("nobody takes over",), breaks=False),
    Fault(
        "one controller alone", east("GW-002"), scaled(CONTROLLER, 1), ("nobody takes over",), breaks=False
    ),
    Fault(
        "a Deployment is deleted",
        east("DNS-001"),
        removed("deployment", DNS, namespace=SYSTEM_NAMESPACE),
        ("is not installed",),
    ),
    Fault(
        "an image that is nowhere",
        east("DNS-001"),
        other_image,
        ("ImagePull", "ErrImage", "9.9.9", "of 2 pods"),
        breaks=False,
    ),
    Fault(
        "pods that fit on no node",
        east("GW-002"),
        template(CONTROLLER, _nowhere),
        ("of 2 pods",),
        breaks=False,
    ),
    Fault(
        "a program that ends at once",
        east("DNS-001"),
        template(DNS, _crashing),
        ("CrashLoop", "Error", "of 2 pods"),
        breaks=False,
    ),
    Fault("the gateways stand still", east("GW-003"), frozen("gateway"), ("none is alive", "renewed")),
    Fault("the controllers stand still", east("PEER-002"), frozen("controller"), ("last heard",)),
    Fault("mesh-dns stands still", east("DNS-004"), frozen("dns")),
    Fault("the gateway's Service is deleted", west("GW-004"), without_service, ("is not there",)),
    Fault(
        "the gateway's Service has another port",
        east("PATH-001"),
        service(GATEWAY, with_another_port, cluster="west"),
        ("refuses", "does not take"),
    ),
    Fault(
        "... and the peer dials the old one",
        west("PEER-012"),
        service(GATEWAY, with_another_port, cluster="west"),
        ("dials this cluster at",),
    ),
    Fault(
        "the gateway's Service chooses no pod",
        east("PATH-001"),
        service(GATEWAY, selecting_nobody, cluster="west"),
        ("refuses", "does not take"),
    ),
    Fault(
        "a load balancer that never comes",
        west("GW-004"),
        service(GATEWAY, as_load_balancer, cluster="west"),
        ("without an address",),
    ),
)
NAMES = (
    Fault(
        "the stub is gone from the Corefile", east("DNS-002"), corefile(without_stub), ("stub is missing",)
    ),
    Fault(
        "the stub points elsewhere",
        east("DNS-002"),
        corefile(lambda text: text.replace("forward . 10.96", "forward . 10.97", 1)),
        ("points to",),
    ),
    Fault(
        "somebody's own block for the zone",
        east("DNS-002"),
        corefile(foreign_block),
        ("somebody's own block",),
    ),
    Fault("a plugin before the stub answers", east("DNS-004"), answered_before, ("NXDOMAIN",)),
    Fault(
        "a cache in the block",
        east("DNS-003"),
        corefile(
            lambda text: text.replace("    errors\n    forward", "    errors\n    cache 30\n    forward", 1)
        ),
        ("cache",),
        breaks=False,
    ),
    Fault(
        "CoreDNS does not reload",
        east("DNS-002"),
        corefile(lambda text: text.replace("    reload 2s 1s\n", "", 1)),
        ("does not reload",),
        breaks=False,
    ),
    Fault(
        "cluster DNS is scaled to none",
        east("DNS-004"),
        lambda ground: ground.scaled("east", "coredns", 0, namespace="kube-system", usual=1),
    ),
    Fault(
        "mesh-dns's Service is deleted",
        east("DNS-002"),
        removed("service", DNS, namespace=SYSTEM_NAMESPACE),
        ("is not there",),
    ),
    Fault(
        "mesh-dns's Service chooses no pod", east("DNS-004"), service(DNS, selecting_nobody, cluster="east")
    ),
)

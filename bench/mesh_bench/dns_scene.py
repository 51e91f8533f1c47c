"""What the DNS benchmark asks and what the answers come from. Pure.

1. Every server is asked the same, in the same order, about the same objects of the same API server.
2. Nine names in ten have a clusterset IP, the tenth is headless with three endpoints. Of a hundred questions
   sixty are for A of a name, twenty for its AAAA, which none has, ten for A of a headless name, five for SRV,
   and five are for a name that does not exist: pods try both families and search paths.
3. No question has EDNS: the C libraries of pods (glibc, musl) send none unless told to.
"""

from collections.abc import Sequence

from mesh_bench.scene import Body, Key
from mesh_core.names import CLUSTERSET_ZONE, LABEL_SERVICE_NAME, LABEL_SOURCE_CLUSTER

_ENDPOINTS = 3
_HEADLESS_EVERY = 10
_TIMES = 5  # questions for each name
_KINDS = ("A",) * 60 + ("AAAA",) * 20 + ("headless",) * 10 + ("SRV",) * 5 + ("none",) * 5
# Steps that have no divisor in common with what they go through: mixed, and the same each time.
_KIND_STEP, _NAME_STEP = 37, 7919
_PORTS = [{"name": "http", "port": 80, "protocol": "TCP"}]


def is_headless(number: int) -> bool:
    """Whether the service of this number is one."""
    return number % _HEADLESS_EVERY == 0


def service_import(key: Key, number: int) -> Body:
    """The import as our controller writes it."""
    spec = {"type": "Headless"} if is_headless(number) else {"type": "ClusterSetIP", "ips": [address(number)]}
    return {"metadata": {"namespace": key[0], "name": key[1]}, "spec": {**spec, "ports": _PORTS}}


def imported_slice(key: Key, number: int, *, round_: int = 0) -> Body:
    """The slice of an import, the endpoints of a headless one; each `round_` has another last endpoint."""
    last = [f"10.100.{number // 250 % 250}.{1 + round_ % 250}"]
    some = [f"10.{101 + one}.{number // 250 % 250}.{1 + number % 250}" for one in range(_ENDPOINTS - 1)]
    return {
        "metadata": {
            "namespace": key[0],
            "name": slice_name(key),
            "labels": {LABEL_SERVICE_NAME: key[1], LABEL_SOURCE_CLUSTER: "east"},
        },
        "addressType": "IPv4",
        "ports": _PORTS,
        "endpoints": [
            {"addresses": [one], "conditions": {"ready": True}, "hostname": f"pod-{place}"}
            for place, one in enumerate([*some, *last])
        ],
    }


def slice_name(key: Key) -> str:
    """The one slice of an import."""
    return f"{key[1]}-east"


def address(number: int, *, round_: int = 0) -> str:
    """The clusterset IP; each `round_` has another."""
    return f"10.{96 + round_ % 4}.{number // 250 % 250}.{1 + number % 250}"


def questions(names: Sequence[Key]) -> str:
    """dnsperf's input, a question a line."""
    plain = [key for number, key in enumerate(names) if not is_headless(number)]
    headless = [key for number, key in enumerate(names) if is_headless(number)]
    lines = []
    for number in range(_TIMES * len(names)):
        kind = _KINDS[number * _KIND_STEP % len(_KINDS)]
        pool = headless if kind == "headless" else plain
        own = _dotted(pool[(number * _NAME_STEP + number // len(_KINDS)) % len(pool)])
        match kind:
            case "SRV":
                lines.append(f"_http._tcp.{own} SRV")
            case "none":
                lines.append(f"not-there.{own} A")
            case "headless":
                lines.append(f"{own} A")
            case _:
                lines.append(f"{own} {kind}")
    return "".join(f"{line}\n" for line in lines)


def denied(asked: str) -> int:
    """How many of these questions are for names that do not exist."""
    return sum(line.startswith("not-there.") for line in asked.splitlines())


def corefile(*, port: int, kubeconfig: str, context: str, cache: bool) -> str:
    """CoreDNS that serves the zone by itself, with kubeadm's cache or without."""
    return (
        f".:{port} {{\n    errors\n"
        f"    kubernetes cluster.local {CLUSTERSET_ZONE} {{\n"
        f"        kubeconfig {kubeconfig} {context}\n        multicluster {CLUSTERSET_ZONE}\n    }}\n"
        + ("    cache 30\n" if cache else "")
        + "}\n"
    )


def _dotted(key: Key) -> str:
    return f"{key[1]}.{key[0]}.svc.{CLUSTERSET_ZONE}"

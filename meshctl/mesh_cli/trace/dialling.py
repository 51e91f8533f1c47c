"""Dials from inside pods, by exec: the egress gateways and the name's own address, without sending a byte."""

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.reply import Unreadable
from mesh_cli.table import one_line
from mesh_cli.trace import knocking
from mesh_cli.trace.scene import Address, Knocked
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_runtime.kube import PODS, Inside, KubeClient, PodRefused, run_in_pod

_LABELS: Final = "app.kubernetes.io/part-of=clusterset-mesh,app.kubernetes.io/component=dns"
_CONTAINER: Final = "dns"
_WATCHED: Final = 2.5
"""Seconds for which a call is watched: who cannot serve it ends it."""
_MOST: Final = 32
_STATUS: Final = re.compile(r"exit (?:code|status) (\d+)\W*$")

# What a pod may have to dial with; each ends with status 0 for a connection that was taken.
_DIAL: Final = """
if command -v python3 >/dev/null; then
 python3 -c 'import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)' "$1" "$2" 2>&1
elif command -v nc >/dev/null; then nc -w 3 "$1" "$2" </dev/null 2>&1 >/dev/null
elif command -v curl >/dev/null; then
 curl -sS --connect-timeout 3 -m 3 "telnet://$1:$2" </dev/null 2>&1 >/dev/null; e=$?
 [ $e = 28 ] && e=0; (exit $e)
else echo no-tool; false; fi
"""


@dataclass(frozen=True, slots=True)
class Dialled:
    """What the gateways' ports came to, and the call; None where there was no address to call."""

    doors: Mapping[Address, Knocked]
    call: Knocked | None


async def knock_from(client: KubeClient, doors: Sequence[Address], *, call: Address | None) -> Dialled:
    """From a running mesh-dns pod; raises PodRefused where there is none."""
    pods = (await client.list(PODS, namespace=SYSTEM_NAMESPACE, labels=_LABELS)).items
    running = sorted(pod.metadata.name for pod in pods if pod.status.phase == "Running")
    if not running:
        raise PodRefused(f"{SYSTEM_NAMESPACE}/meshctl-dns", why="no pod of it runs")
    wanted = tuple(doors)[:_MOST]
    wish = [[address, port, 0] for address, port in wanted]
    wish += [[*call, _WATCHED]] if call is not None else []
    if not wish:
        return Dialled({}, None)
    inside = Inside(SYSTEM_NAMESPACE, running[0], _CONTAINER)
    ran = await run_in_pod(
        client, ("python", "-c", inspect.getsource(knocking), json.dumps(wish)), inside=inside
    )
    if ran.failure:
        raise PodRefused(str(inside), why=one_line(ran.failure))
    found = _read(ran.output, expected=len(wish))
    return Dialled(dict(zip(wanted, found, strict=False)), found[-1] if call is not None else None)


async def call_from(client: KubeClient, start: Inside | None, target: Address | None) -> Knocked | Unseen:
    """From the pod itself, by whatever it has."""
    if start is None or target is None:
        return Unseen("there is nobody to call from")
    ran = await run_in_pod(client, ("sh", "-c", _DIAL, "sh", target[0], str(target[1])), inside=start)
    said = one_line(ran.output.decode(errors="replace"))
    if "no-tool" in said:
        return Unseen(f"pod {start} has neither python3, nc nor curl to dial with")
    return Knocked(error=(said or why_failed(ran.failure)) if ran.failure else "")


def why_failed(words: str) -> str:
    """What kubelet says of a command that failed, without the command, which it repeats whole."""
    status = _STATUS.search(words)
    told = "it took no connection, and said nothing"
    return f"{told} (exit status {status[1]})" if status is not None else one_line(words)


def _read(output: bytes, *, expected: int) -> list[Knocked]:
    """As many as there were connections; raises Unreadable."""
    try:
        told: list[dict[str, Any]] = json.loads(output)  # Any: JSON, taken apart at once
        found = [Knocked(one_line(str(one["error"])), bool(one["ended"])) for one in told]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise Unreadable(one_line(str(error))) from error
    if len(found) != expected:
        raise Unreadable(f"{len(found)} answers to {expected} connections")
    return found

"""What is looked at when the story has failed: which calls failed when, and what programs said."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from live.placement_story.calls import Call, Calls, now
from live.placement_story.land import HUB, MEMBERS, Land
from mesh_core.names import SYSTEM_NAMESPACE

_LINES: Final = 80
_PODS: Final = (
    "custom-columns=NAME:.metadata.name,READY:.status.containerStatuses[*].ready,"
    "RESTARTS:.status.containerStatuses[*].restartCount,LAST:.status.containerStatuses[*].lastState"
)


def aftermath(land: Land, calls: Calls) -> str:
    """For people: text of some hundred lines. What cannot be read is said in its place."""
    return "\n".join([*failures(calls.told), *_programs(land)])


def failures(told: list[Call]) -> Iterator[str]:
    """One line for calls of one pod that failed in one way, one after another."""
    to_wall = time.time() - now()
    in_turn = sorted(told, key=lambda one: (one.pod, one.begun))
    for (pod, cluster, fault), some in groupby(in_turn, key=lambda one: (one.pod, one.cluster, one.fault)):
        run = list(some)
        first, last = (datetime.fromtimestamp(one.begun + to_wall, UTC) for one in (run[0], run[-1]))
        yield f"{cluster} {pod}: {first:%H:%M:%S.%f} to {last:%H:%M:%S.%f} {len(run)} {fault or 'answered'}"


def _programs(land: Land) -> Iterator[str]:
    for cluster in (HUB, *MEMBERS):
        yield f"--- {cluster}"
        yield _tried(land, cluster, "get", "pods", "-A", "-o", _PODS)
        yield _tried(land, cluster, "get", "meshpeers,endpointslices", "-A")
        names = _tried(land, cluster, "-n", SYSTEM_NAMESPACE, "get", "pods", "-o", "name")
        for pod in names.split():
            for which in ("--previous=true", "--previous=false"):
                words = ("-n", SYSTEM_NAMESPACE, "logs", pod, "--timestamps", f"--tail={_LINES}", which)
                yield f"--- {cluster} {pod} {which}"
                yield _tried(land, cluster, *words)


def _tried(land: Land, cluster: str, *words: str) -> str:
    """What kubectl prints, or why it failed."""
    try:
        return land.bed.kubectl(cluster, *words)
    except AssertionError as error:
        return str(error).splitlines()[-1]

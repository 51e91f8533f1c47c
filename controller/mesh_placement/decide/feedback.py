"""How an applied object is, by its own words: health, replicas, and the values that somebody asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from mesh_placement.decide.field_paths import found_at
from mesh_placement.decide.manifests import Named
from mesh_placement.objects import HealthRule

# JSON of an object: its values are whatever JSON has, hence Any.
Json = Mapping[str, Any]

_LONGEST_VALUE = 1024


class Health(StrEnum):
    """From good to bad; of several objects the worst counts."""

    HEALTHY = "Healthy"
    UNKNOWN = "Unknown"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"


_ORDER = tuple(Health)


def worst(healths: list[Health]) -> Health:
    """The worst of them; Healthy when there is none."""
    return max(healths, key=_ORDER.index, default=Health.HEALTHY)


@dataclass(frozen=True, slots=True)
class Replicas:
    """What a workload wants and has ready."""

    desired: int = 0
    ready: int = 0


def health_of(
    one: Named, *, generation: int, spec: Json, status: Json, rule: HealthRule | None = None
) -> Health:
    """Of one object, as the member has it: by `rule`, else by convention. By that, what has no status is
    healthy by being there."""
    observed = status.get("observedGeneration")
    if isinstance(observed, int) and observed < generation:
        return Health.PROGRESSING
    conditions = _conditions(status)
    if rule is not None:
        said = conditions.get(rule.condition) if rule.condition else None
        return _by_rule(rule, said or value_at({"spec": spec, "status": status}, rule.path))
    match (one.group, one.kind):
        case ("apps", "Deployment") | ("apps", "StatefulSet") | ("apps", "ReplicaSet"):
            return _of_replicas(spec, status, conditions)
        case ("apps", "DaemonSet"):
            wanted, ready = _number(status, "desiredNumberScheduled"), _number(status, "numberReady")
            has_begun = isinstance(observed, int)
            return Health.HEALTHY if has_begun and ready >= wanted else Health.PROGRESSING
        case ("batch", "Job"):
            if conditions.get("Failed") == "True":
                return Health.DEGRADED
            return Health.HEALTHY if conditions.get("Complete") == "True" else Health.PROGRESSING
        case ("", "Pod"):
            return _of_pod(status, conditions)
        case ("", "PersistentVolumeClaim"):
            # Pending is how a claim waits for its first consumer.
            return Health.DEGRADED if status.get("phase") == "Lost" else Health.HEALTHY
        case _:
            return _by_convention(conditions)


def replicas_of(one: Named, *, spec: Json, status: Json) -> Replicas:
    """Of a workload that counts replicas; none of any other object."""
    if one.group == "apps" and one.kind == "DaemonSet":
        return Replicas(_number(status, "desiredNumberScheduled"), _number(status, "numberReady"))
    desired = spec.get("replicas")
    if not isinstance(desired, int):
        return Replicas()
    return Replicas(desired, _number(status, "readyReplicas"))


def replicas_at(path: str, *, spec: Json, health: Health) -> Replicas:
    """Of what counts its replicas at `path`. Nobody has told where it says how many are ready: all are, when
    it is healthy."""
    desired = found_at({"spec": spec}, path)
    if not isinstance(desired, int):
        return Replicas()
    return Replicas(desired, desired if health is Health.HEALTHY else 0)


def has_its_pods(one: Named, *, generation: int, spec: Json, status: Json) -> bool:
    """Whether its controller has made all pods that it asks for, ready or not; so has what asks for none.

    Of what old pods a rollout leaves behind nothing is asked: they take room until they are gone.
    """
    observed = status.get("observedGeneration")
    if isinstance(observed, int) and observed < generation:
        return False
    match (one.group, one.kind):
        case ("apps", "Deployment") | ("apps", "StatefulSet"):
            updated = _number(status, "updatedReplicas")
            return _counts(spec, status) and (updated >= _wanted(spec) or _keeps_old_pods(spec))
        case ("apps", "DaemonSet"):
            made = _number(status, "currentNumberScheduled")
            return isinstance(observed, int) and made >= _number(status, "desiredNumberScheduled")
        case ("batch", "Job"):
            return _job_has_its_pods(spec, status)
        case _:
            # By convention, as of ReplicaSets; what has no replicas is all that there will be of it.
            return not isinstance(spec.get("replicas"), int) or _counts(spec, status)


def value_at(document: Json, path: str) -> str | None:
    """What a simple field path (".status.loadBalancer.ingress[0].ip") leads to, as text, or None.

    Text stands as it is, all else as JSON; at most 1,024 characters.
    """
    place = found_at(document, path)
    if place is None:
        return None
    text = place if isinstance(place, str) else msgspec.json.encode(place).decode()
    return text[:_LONGEST_VALUE]


def _by_rule(rule: HealthRule, said: str | None) -> Health:
    if said in rule.healthy:
        return Health.HEALTHY
    return Health.DEGRADED if said in rule.degraded else Health.PROGRESSING


def _of_replicas(spec: Json, status: Json, conditions: Mapping[str, str]) -> Health:
    desired = spec.get("replicas", 1)
    if conditions.get("Progressing") == "False" or conditions.get("ReplicaFailure") == "True":
        return Health.DEGRADED
    if not isinstance(desired, int) or not isinstance(status.get("observedGeneration"), int):
        return Health.PROGRESSING
    updated = status.get("updatedReplicas", status.get("replicas", 0))
    is_whole = _number(status, "readyReplicas") >= desired and isinstance(updated, int) and updated >= desired
    return Health.HEALTHY if is_whole else Health.PROGRESSING


def _counts(spec: Json, status: Json) -> bool:
    return "replicas" in status and _number(status, "replicas") >= _wanted(spec)


def _wanted(spec: Json) -> int:
    return _number(spec, "replicas") if "replicas" in spec else 1


def _keeps_old_pods(spec: Json) -> bool:
    """Whether pods of an older template may stay for ever."""
    strategy = spec.get("updateStrategy")
    if not isinstance(strategy, Mapping):
        return False
    rolling = strategy.get("rollingUpdate")
    return strategy.get("type") == "OnDelete" or (
        isinstance(rolling, Mapping) and _number(rolling, "partition") > 0
    )


def _job_has_its_pods(spec: Json, status: Json) -> bool:
    conditions = _conditions(status)
    if spec.get("suspend") is True or "True" in (conditions.get("Complete"), conditions.get("Failed")):
        return True
    at_once = _number(spec, "parallelism") if "parallelism" in spec else 1
    whole = spec.get("completions")
    wanted = min(at_once, whole) if isinstance(whole, int) else at_once
    made = sum(_number(status, count) for count in ("active", "succeeded", "failed"))
    return "startTime" in status and made >= wanted


def _of_pod(status: Json, conditions: Mapping[str, str]) -> Health:
    match status.get("phase"):
        case "Failed":
            return Health.DEGRADED
        case "Succeeded":
            return Health.HEALTHY
        case _:
            return Health.HEALTHY if conditions.get("Ready") == "True" else Health.PROGRESSING


def _by_convention(conditions: Mapping[str, str]) -> Health:
    for kind in ("Ready", "Available", "Established"):
        if kind in conditions:
            return Health.HEALTHY if conditions[kind] == "True" else Health.PROGRESSING
    return Health.HEALTHY


def _conditions(status: Json) -> dict[str, str]:
    listed = status.get("conditions")
    return {
        one["type"]: str(one.get("status"))
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, Mapping) and isinstance(one.get("type"), str)
    }


def _number(status: Json, key: str) -> int:
    found = status.get(key)
    return found if isinstance(found, int) else 0

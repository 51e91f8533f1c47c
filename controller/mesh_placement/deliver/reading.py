"""The state of one object out of what the member last showed of it."""

from mesh_placement.decide.feedback import (
    Health,
    Json,
    Replicas,
    has_its_pods,
    health_of,
    replicas_at,
    replicas_of,
    value_at,
)
from mesh_placement.decide.manifests import Named
from mesh_placement.decide.overrides import rule_for
from mesh_placement.decide.reasons import Reason
from mesh_placement.decide.work_plan import Wanted
from mesh_placement.decide.work_status import ObjectState
from mesh_placement.deliver.seen import Seen, json_of
from mesh_placement.objects import Assignment, Feedback, Interpretation
from mesh_runtime.kube import Resource


def blank(wanted: Wanted, *, resource: Resource[Seen] | None = None, namespace: str = "") -> ObjectState:
    """Nothing is known of it yet."""
    return ObjectState(
        ordinal=wanted.ordinal,
        one=wanted.one,
        reason=Reason.WAITING,
        resource=resource.plural if resource is not None else "",
        namespace=namespace or (wanted.one.namespace if wanted.one is not None else ""),
    )


def applied(
    wanted: Wanted, *, resource: Resource[Seen], seen: Seen, drift: str, assignment: Assignment | None
) -> ObjectState:
    """It is in the member, and this is how it is there."""
    assert wanted.one is not None, "what has no name is never applied"
    spec, status = json_of(seen.spec), json_of(seen.status)
    generation = seen.metadata.generation
    rule = rule_for(wanted.one, assignment.spec.interpretations) if assignment is not None else None
    judged = rule.health if rule is not None else None
    health = health_of(wanted.one, generation=generation, spec=spec, status=status, rule=judged)
    return ObjectState(
        ordinal=wanted.ordinal,
        one=wanted.one,
        reason=Reason.APPLIED,
        resource=resource.plural,
        namespace=seen.metadata.namespace,
        health=health,
        replicas=_replicas(wanted.one, spec, status, rule=rule, health=health),
        has_its_pods=has_its_pods(wanted.one, generation=generation, spec=spec, status=status),
        drift=drift,
        feedback=_feedback(wanted.one, {"spec": spec, "status": status}, assignment=assignment),
    )


def _replicas(
    one: Named, spec: Json, status: Json, *, rule: Interpretation | None, health: Health
) -> Replicas:
    if rule is None or rule.replicas is None:
        return replicas_of(one, spec=spec, status=status)
    return replicas_at(rule.replicas, spec=spec, health=health)


def _feedback(one: Named, document: Json, *, assignment: Assignment | None) -> tuple[Feedback, ...]:
    found: list[Feedback] = []
    for wish in assignment.spec.feedback if assignment is not None else ():
        if wish.kind not in ("", one.kind) or wish.object not in ("", one.name):
            continue
        value = value_at(document, wish.path)
        if value is not None:
            found.append(Feedback(name=wish.name, value=value, object=str(one)))
    return tuple(found)

"""Filter Properties: is the cluster what the placement asks for, by its name and by its properties?

1. A value with commas in it is a list ("amd64,arm64": some nodes of either). `In` holds when all of it is
   among the values, `NotIn` when none of it is: a rule of law is never kept by half of a cluster.
2. A property that is missing fails every operator but NotIn and DoesNotExist, as labels do in Kubernetes.
3. Gt, Ge, Lt and Le compare quantities ("500m" is less than "1").
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence

from mesh_placement.decide.quantity import Rounding, thousandths
from mesh_placement.objects.placing import ClusterChoice, PropertyTerm
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.row_facts import exceptions_of
from mesh_placement.schedule.snapshot import Cluster, Wanted

_COMPARE: dict[str, tuple[str, Callable[[int, int], bool]]] = {
    "Gt": (">", operator.gt),
    "Ge": (">=", operator.ge),
    "Lt": ("<", operator.lt),
    "Le": ("<=", operator.le),
}


class Properties:
    """Excluded, PropertyMissing, PropertyMismatch."""

    name = "Properties"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """Those that are named as excluded, that are not named, or that are not as required."""
        choice, terms = wanted.spec.clusters, wanted.spec.require.properties
        found: dict[str, Rejection] = {}
        if choice.names or choice.exclude:
            names, exclude = frozenset(choice.names), frozenset(choice.exclude)
            for one in clusters:
                if one.name in exclude or (names and one.name not in names):
                    found[one.name] = _excluded(one.name, choice)
        # The first broken term is told; the last written wins here, hence backwards.
        for term in reversed(terms):
            rule = "Properties", term.name, term.operator, term.values
            broken = exceptions_of(look, rule, clusters, _breaking(term))
            found = {**found, **broken} if found else dict(broken)
        return found


def holds(terms: Iterable[PropertyTerm], properties: Mapping[str, str]) -> bool:
    """Whether a cluster with these properties is as all of them ask."""
    return all(_test(term)(properties.get(term.name)) for term in terms)


def _breaking(term: PropertyTerm) -> Callable[[Cluster], Rejection | None]:
    holds = _test(term)

    def breaking(one: Cluster) -> Rejection | None:
        value = one.properties.get(term.name)
        return None if holds(value) else _broken(term, value=value)

    return breaking


def _test(term: PropertyTerm) -> Callable[[str | None], bool]:
    values = frozenset(term.values)
    match term.operator:
        case "In":
            return lambda value: value in values or (value is not None and values.issuperset(_parts(value)))
        case "NotIn":
            return lambda value: value is None or not (value in values or values.intersection(_parts(value)))
        case "Exists":
            return lambda value: value is not None
        case "DoesNotExist":
            return lambda value: value is None
        case _:
            return _comparison(term)


def _comparison(term: PropertyTerm) -> Callable[[str | None], bool]:
    bound = thousandths(term.values[0], rounding=Rounding.DOWN) if len(term.values) == 1 else None
    compare = _COMPARE[term.operator][1]

    def holds(value: str | None) -> bool:
        number = None if value is None else thousandths(value, rounding=Rounding.DOWN)
        return number is not None and bound is not None and compare(number, bound)

    return holds


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")]


def _excluded(name: str, choice: ClusterChoice) -> Rejection:
    if name in choice.exclude:
        return Rejection(
            "Excluded",
            observed="named in clusters.exclude",
            required="not named there",
            hint="take it out of clusters.exclude if workloads may go there again",
        )
    names = sorted(choice.names)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return Rejection(
        "Excluded",
        observed="not named in clusters.names",
        required=f"one of {', '.join(names[:3])}{more}",
        hint="add it to clusters.names, or leave the names out to let rules decide",
    )


def _broken(term: PropertyTerm, *, value: str | None) -> Rejection:
    required = _required(term)
    if value is None:
        return Rejection(
            "PropertyMissing",
            observed=f"{term.name} is not set",
            required=required,
            hint=f"set ClusterProperty {term.name} in the member",
        )
    hint = "correct the ClusterProperty in the member, or the rule"
    if term.operator in _COMPARE:
        if len(term.values) != 1 or thousandths(term.values[0], rounding=Rounding.DOWN) is None:
            hint = f"{term.operator} compares with one quantity: correct the rule"
        elif thousandths(value, rounding=Rounding.DOWN) is None:
            hint = "the value is no quantity: correct the ClusterProperty in the member"
    return Rejection(
        "PropertyMismatch", observed=f"{term.name} is {value[:100]}", required=required, hint=hint
    )


def _required(term: PropertyTerm) -> str:
    values = ", ".join(term.values)
    match term.operator:
        case "In":
            return f"{term.name} in ({values})"
        case "NotIn":
            return f"{term.name} not in ({values})"
        case "Exists":
            return f"{term.name} is set"
        case "DoesNotExist":
            return f"{term.name} is not set"
        case _:
            return f"{term.name} {_COMPARE[term.operator][0]} {values}"

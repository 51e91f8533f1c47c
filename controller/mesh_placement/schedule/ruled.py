"""ResourceInterpreters of the hub as an interpreter (`interpreting`), and what members have to know of them.

1. Of several for one kind in one version the oldest counts, of equal age the first by name.
2. The only component that says its number, or the one that says so itself, is divided; all others come as
   they are written.
3. What an object names by a rule is a name, or is not there: who writes the object may write anything.
4. What a user left out, or wrote as something else, reads as not there; a number that is missing is 1.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mesh_placement.decide.field_paths import found_at
from mesh_placement.objects import (
    ComponentRule,
    Interpretation,
    Manifest,
    ResourceInterpreter,
    ResourceInterpreterSpec,
)
from mesh_placement.schedule.interpreting import Component

MOST_RULES: Final = 256
"""That are read; more of them say nothing."""
MOST_KINDS: Final = 64
"""Of one Placement, of which its members are told."""
MOST_NAMED: Final = 64
"""By one rule, in one object."""
_Kind = tuple[str, str]
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME: Final = 253


@dataclass(frozen=True, slots=True)
class Rules:
    """All of a hub, by apiVersion and kind. It is an Interpreter, too."""

    by_kind: Mapping[_Kind, ResourceInterpreterSpec] = field(default_factory=dict)
    name: str = "ResourceInterpreter"

    def components(self, manifest: Mapping[str, Any]) -> Sequence[Component] | None:  # Any: JSON
        """None where no rule says which pods the kind starts."""
        rule = self._rule(manifest)
        if rule is None or not rule.components:
            return None
        divided = _divided(rule)
        return [_component(one, manifest, divided=one is divided) for one in rule.components]

    def named_by(self, manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:  # Any: JSON
        """Kind and name of what the object names where a rule says so, in the order of rules."""
        rule = self._rule(manifest)
        for one in rule.references if rule is not None else ():
            value = found_at(manifest, one.path)
            listed = value[:MOST_NAMED] if isinstance(value, list) else [value]
            yield from ((one.kind, name) for each in listed if (name := _name(each)))

    def templates_of(self, manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:  # Any: JSON
        """The pod templates that a rule says; what their pods name is named by the object."""
        yield from (one.template for one in self.components(manifest) or ())

    def told_of(self, manifests: Iterable[Manifest]) -> tuple[Interpretation, ...]:
        """What goes along with these, in the order of kinds."""
        if not self.by_kind:
            return ()
        found = {
            kind
            for one in manifests
            if (rule := self.by_kind.get(kind := _kind_of(one))) and (rule.health or rule.components)
        }
        return tuple(_told(kind, self.by_kind[kind]) for kind in sorted(found)[:MOST_KINDS])

    def _rule(self, manifest: Mapping[str, Any]) -> ResourceInterpreterSpec | None:  # Any: JSON
        return self.by_kind.get(_kind_of(manifest))


NO_RULES: Final = Rules()


def rules_of(interpreters: Iterable[ResourceInterpreter]) -> Rules:
    """By law 1."""
    found: dict[_Kind, ResourceInterpreterSpec] = {}
    for one in sorted(interpreters, key=_age)[:MOST_RULES]:
        found.setdefault((one.spec.target.api_version, one.spec.target.kind), one.spec)
    return Rules(found)


def _age(one: ResourceInterpreter) -> tuple[str, str]:
    return one.metadata.creation_timestamp, one.metadata.name


def _kind_of(manifest: Mapping[str, Any]) -> _Kind:  # Any: JSON
    version, kind = manifest.get("apiVersion"), manifest.get("kind")
    return (version, kind) if isinstance(version, str) and isinstance(kind, str) else ("", "")


def _name(value: object) -> str:
    """The name of an object (RFC 1123) that `value` is or has; "" for anything else."""
    name = value.get("name") if isinstance(value, Mapping) else value
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return ""
    return name if _NAME.fullmatch(name) else ""


def _divided(rule: ResourceInterpreterSpec) -> ComponentRule | None:
    """By law 2."""
    counting = [one for one in rule.components if one.replicas]
    said = [one for one in counting if one.divided]
    if said:
        return said[0]
    return counting[0] if len(counting) == 1 and counting[0].divided is None else None


def _component(one: ComponentRule, manifest: Mapping[str, Any], *, divided: bool) -> Component:  # Any: JSON
    template = found_at(manifest, one.template)
    count = found_at(manifest, one.replicas) if one.replicas else 1
    is_number = isinstance(count, int) and not isinstance(count, bool)
    return Component(
        template=template if isinstance(template, Mapping) else {},
        count=count if is_number else 1,
        divided=divided,
    )


def _told(kind: _Kind, rule: ResourceInterpreterSpec) -> Interpretation:
    replicas = None
    if rule.components:
        divided = _divided(rule)
        replicas = divided.replicas if divided is not None else ""
    return Interpretation(api_version=kind[0], kind=kind[1], health=rule.health, replicas=replicas)

"""What must come with a placement: the closure of what its objects name.

Who names Secrets, accounts or Services gets them out of what is given; what is nowhere is waited for, and
the app is not applied before. What a cluster has as a whole (namespaces, classes, definitions) is taken
along where it is given; else the member is expected to have it, which filters and gates look after.
Permissions are not followed: what a ServiceAccount may do is nobody's pod's to say.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mesh_placement.decide.ranks import WORKLOADS, rank_of_kind
from mesh_placement.objects import Manifest
from mesh_placement.schedule.envelope import (
    DEFAULT_NAMESPACE,
    Identity,
    Item,
    definitions_of,
    items_of,
)
from mesh_placement.schedule.references import Reference, has_key, references_of, selects
from mesh_placement.schedule.ruled import NO_RULES, Rules

_CRDS = "apiextensions.k8s.io", "CustomResourceDefinition"


@dataclass(frozen=True, slots=True)
class Closure:
    """`brought` are those of the given objects that come along, in their order. `missing` are waited for
    ("Secret/shop/x", "Secret/shop/x[key]"), `expected` the member must have; both in order, without
    repetition. `unmet` are all references that led nowhere, those that nobody waits for too."""

    brought: tuple[Manifest, ...] = ()
    missing: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    unmet: tuple[Reference, ...] = field(default=(), compare=False)


def closure(
    roots: Iterable[Manifest],
    *,
    given: Iterable[Manifest] = (),
    namespace: str = DEFAULT_NAMESPACE,
    rules: Rules = NO_RULES,
) -> Closure:
    """What `roots` need, directly or through others. Each object counts once, the roots' own before given
    ones; `namespace` is where those go that say none."""
    first = tuple(roots)
    pool = items_of((*first, *given), namespace=namespace)
    there: dict[Identity, Item] = {}
    for item in pool:
        there.setdefault(item.identity, item)
    mine = {item.identity for item in items_of(first, namespace=namespace)}
    follow = _Follow(pool, there, rules)
    reached = follow.all_from(mine)
    brought = (item for identity, item in there.items() if identity in reached - mine)
    return Closure(
        tuple(item.manifest for item in brought),
        tuple(sorted(str(one) for one in follow.absent if one.namespace)),
        tuple(sorted(str(one) for one in follow.absent if not one.namespace)),
        tuple(sorted(follow.unmet)),
    )


class _Follow:
    """Goes from object to object; `unmet` are references that led nowhere, `absent` those that matter."""

    def __init__(self, pool: tuple[Item, ...], there: Mapping[Identity, Item], rules: Rules) -> None:
        self._there = there
        self._rules = rules
        self._definitions = definitions_of([(item.one, item.manifest) for item in pool])
        self._workloads = [
            item for item in there.values() if rank_of_kind(item.one.group, item.one.kind) == WORKLOADS
        ]
        self.absent: set[Reference] = set()
        self.unmet: set[Reference] = set()

    def all_from(self, roots: Iterable[Identity]) -> set[Identity]:
        """The roots and all that they lead to."""
        reached: set[Identity] = set()
        ahead = list(roots)
        while ahead:
            identity = ahead.pop()
            if identity not in reached:
                reached.add(identity)
                ahead.extend(self._next(self._there[identity]))
        return reached

    def _next(self, item: Item) -> Iterator[Identity]:
        for reference in references_of(item, self._rules):
            found = self._there.get(reference.identity)
            if found is not None:
                yield found.identity
            if found is None or not _is_whole(found, reference):
                self.unmet.add(reference)
            if not reference.must or (found is not None and _is_whole(found, reference)):
                continue
            self.absent.add(reference)
        definition = self._definitions.get((item.one.group, item.one.kind))
        if definition is not None:
            yield (*_CRDS, "", definition.name)
        if (item.one.group, item.one.kind) == ("", "Service"):
            yield from (one.identity for one in self._workloads if selects(item, one))


def _is_whole(item: Item, reference: Reference) -> bool:
    return not reference.data_key or has_key(item.manifest, reference.data_key)

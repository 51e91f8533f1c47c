"""What the hub says, as the deliverer's watch caches hold it: units, and who belongs together.

A unit is a Work, or an Assignment's Secrets; its name is that of its AppliedWork in the member. What is not
in the cache says nothing: a unit is removed only when its object is seen being deleted, never because it is
missing. A hub that was restored, or lost its objects, deletes nothing that way.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mesh_core.objects import Meta, Secret
from mesh_placement.decide.manifests import Named
from mesh_placement.decide.work_plan import (
    Settings,
    Wanted,
    definitions,
    identities,
    is_of_revision,
    rival,
    settings_of,
    user_of,
    wanted_of,
    wanted_secrets,
)
from mesh_placement.decide.work_status import is_ready
from mesh_placement.names import ANNOTATION_REVISION, LABEL_ASSIGNMENT, SECRETS_PREFIX, WORK_FINALIZER
from mesh_placement.objects import Assignment, Work
from mesh_placement.resources import ASSIGNMENTS, WORKS
from mesh_runtime.kube import SECRETS, Informer, KubeClient


@dataclass(frozen=True, slots=True)
class Unit:
    """What is applied together. `waits_for` is "" when it may begin; `source` is the object it comes from."""

    name: str
    source: Meta
    wanted: tuple[Wanted, ...]
    settings: Settings
    work: Work | None = None
    waits_for: str = ""

    @property
    def is_protected(self) -> bool:
        """Whether its object waits for us when it is deleted; else what it brought would be left behind."""
        return WORK_FINALIZER in self.source.finalizers

    def protected_as(self, one: Work | Assignment) -> "Unit":
        """The same of its object as it is since it waits for us; nothing else of that has changed."""
        work = one if isinstance(one, Work) else self.work
        return replace(self, source=one.metadata, work=work)

    @property
    def is_leaving(self) -> bool:
        """Whether its object is being deleted, and waits for us."""
        return self.source.deletion_timestamp is not None

    @property
    def stamp(self) -> tuple[int, int]:
        """What it was made of: another one means that all of it has to be looked at anew."""
        assignment = self.settings.assignment
        return self.source.generation, assignment.metadata.generation if assignment is not None else 0

    @property
    def is_of_its_revision(self) -> bool:
        """Whether the Work was written for the Assignment as it is; who writes no revision means always."""
        assignment = self.settings.assignment
        return assignment is None or is_of_revision(self.source, assignment)

    @property
    def lowest_rank(self) -> int:
        """Of what it brings; a unit that brings nothing holds nobody up."""
        return min((one.rank for one in self.wanted), default=100)


class HubView:
    """Works, Assignments and Secrets of one member's namespace on the hub."""

    def __init__(self, hub: KubeClient, *, namespace: str) -> None:
        self.namespace = namespace
        self.works = Informer(hub, WORKS, namespace=namespace)
        self.assignments = Informer(hub, ASSIGNMENTS, namespace=namespace)
        self.secrets = Informer(hub, SECRETS, namespace=namespace)
        self._works_of = self.works.index(identities)
        self._definers = self.works.index(lambda work: [kind for _, kind in definitions(work)])
        self._by_label = self.works.index(lambda work: [work.metadata.labels.get(LABEL_ASSIGNMENT, "")])
        self._listing = self.assignments.index(lambda one: one.spec.works)
        self._dependants = self.assignments.index(lambda one: one.spec.depends_on)
        self._carrying = self.assignments.index(lambda one: one.spec.secrets)

    def feed(self, look: Callable[[str], None]) -> None:
        """Call `look` with the name of every unit that a change concerns."""

        def work_changed(_key: object, old: Work | None, new: Work | None) -> None:
            for work in (old, new):
                if work is None or (old is not None and new is not None and work is old):
                    continue
                look(work.metadata.name)
                for companion in self.companions(work.metadata.name) if _is_rewritten(old, new) else ():
                    look(companion)
                # Who brings the same objects may have to take over, or to step back.
                if old is None or new is None or old.spec != new.spec:
                    for identity in identities(work):
                        for other in self._works_of.get(identity):
                            look(other.metadata.name)

        def assignment_changed(_key: object, old: Assignment | None, new: Assignment | None) -> None:
            for one in (old, new):
                if one is not None and (old is None or new is None or old.spec != new.spec):
                    for name in self.units_of(one):
                        look(name)
            one = new or old
            if one is not None:
                look(SECRETS_PREFIX + one.metadata.name)
                for dependant in self._dependants.get(one.metadata.name):
                    for name in self.units_of(dependant):
                        look(name)

        def secret_changed(key: tuple[str, str], _old: Secret | None, _new: Secret | None) -> None:
            for one in self._carrying.get(key[1]):
                look(SECRETS_PREFIX + one.metadata.name)

        self.works.follow(work_changed)
        self.assignments.follow(assignment_changed)
        self.secrets.follow(secret_changed)

    def units_of(self, assignment: Assignment) -> tuple[str, ...]:
        """Names of all units that belong to it."""
        labelled = {one.metadata.name for one in self._by_label.get(assignment.metadata.name)}
        names = sorted(labelled | set(assignment.spec.works))
        return (
            (*names, SECRETS_PREFIX + assignment.metadata.name) if assignment.spec.secrets else tuple(names)
        )

    def assignment_of(self, name: str) -> Assignment | None:
        """The Assignment that a unit belongs to: the one it is labelled with, or the first that lists it."""
        if name.startswith(SECRETS_PREFIX):
            return self.assignments.get(name.removeprefix(SECRETS_PREFIX), namespace=self.namespace)
        work = self.works.get(name, namespace=self.namespace)
        labelled = work.metadata.labels.get(LABEL_ASSIGNMENT, "") if work is not None else ""
        if labelled:
            return self.assignments.get(labelled, namespace=self.namespace)
        listing = self._listing.get(name)
        return listing[0] if listing else None

    def unit(self, name: str) -> Unit | None:
        """The unit as the hub has it now, or None."""
        assignment = self.assignment_of(name)
        found = self._secrets(name, assignment) if name.startswith(SECRETS_PREFIX) else None
        work = self.works.get(name, namespace=self.namespace)
        return self._work(work, assignment) if found is None and work is not None else found

    def work_of(self, name: str) -> Work | Assignment | None:
        """The object of a unit, be it protected or not."""
        if name.startswith(SECRETS_PREFIX):
            return self.assignments.get(name.removeprefix(SECRETS_PREFIX), namespace=self.namespace)
        return self.works.get(name, namespace=self.namespace)

    def rival_of(self, unit: Unit, wanted: Wanted) -> str:
        """The older Work that brings the same object differently, or ""."""
        if unit.work is None or wanted.one is None:
            return ""
        original = unit.work.spec.workload.manifests[wanted.ordinal]
        return rival(unit.work, original, others=self._works_of.get(wanted.one.identity))

    def bringers(self, identity: tuple[str, str, str, str]) -> list[str]:
        """Works that bring an object of the member, without those that leave."""
        group, kind, namespace, name = identity
        found = self._works_of.get(identity)
        if namespace == "default":
            # A manifest that names no namespace means this one.
            found = [*found, *self._works_of.get((group, kind, "", name))]
        return [one.metadata.name for one in found if one.metadata.deletion_timestamp is None]

    def is_being_rewritten(self, unit: Unit) -> bool:
        """Whether its Assignment has Works that are not there, or not written for its revision yet.

        What one of them brings no more may be on its way into another. Who writes no revisions is not asked.
        """
        assignment = unit.settings.assignment
        if assignment is None or unit.work is None or ANNOTATION_REVISION not in unit.source.annotations:
            return False
        works = (self.works.get(name, namespace=self.namespace) for name in assignment.spec.works)
        return any(one is None or not is_of_revision(one.metadata, assignment) for one in works)

    def companions(self, name: str) -> tuple[str, ...]:
        """All units of the same Assignment, as far as they say so themselves when it is gone."""
        work = self.works.get(name, namespace=self.namespace)
        labelled = work.metadata.labels.get(LABEL_ASSIGNMENT, "") if work is not None else ""
        named = name.removeprefix(SECRETS_PREFIX) if name.startswith(SECRETS_PREFIX) else labelled
        assignment = self.assignment_of(name)
        known = self.units_of(assignment) if assignment is not None else ()
        if not named:
            return known
        alike = (one.metadata.name for one in self._by_label.get(named))
        return tuple(sorted({*known, *alike, SECRETS_PREFIX + named}))

    def definition_of(self, one: Named) -> str:
        """Name of the CustomResourceDefinition by which a Work brings this kind, or ""."""
        for work in self._definers.get((one.group, one.kind)):
            for name, kind in definitions(work):
                if kind == (one.group, one.kind):
                    return name
        return ""

    def _work(self, work: Work, assignment: Assignment | None) -> Unit:
        settings = settings_of(work, assignment=assignment)
        wanted = wanted_of(work, assignment=assignment)
        if isinstance(settings, str):
            return Unit(work.metadata.name, work.metadata, wanted, Settings(user_of(None)), work, settings)
        waits_for = self._unmet(assignment)
        return Unit(work.metadata.name, work.metadata, wanted, settings, work, waits_for)

    def _secrets(self, name: str, assignment: Assignment | None) -> Unit | None:
        if assignment is None:
            return None
        wanted, missing = wanted_secrets(
            assignment, find=lambda one: self.secrets.get(one, namespace=self.namespace)
        )
        settings = Settings(user_of(assignment), assignment.spec.take_over, assignment)
        waits_for = missing or self._unmet(assignment)
        return Unit(name, assignment.metadata, wanted, settings, None, waits_for)

    def _unmet(self, assignment: Assignment | None) -> str:
        for name in assignment.spec.depends_on if assignment is not None else ():
            if not is_ready(self.assignments.get(name, namespace=self.namespace)):
                return f"Assignment/{name}"
        return ""


def _is_rewritten(old: Work | None, new: Work | None) -> bool:
    """Whether it came, went, or is of another revision: its companions may have waited for that."""
    if old is None or new is None:
        return True
    before, after = old.metadata.annotations, new.metadata.annotations
    return before.get(ANNOTATION_REVISION) != after.get(ANNOTATION_REVISION)

"""What one Work, with its Assignment, wants in the member.

A Work that belongs to an Assignment is not applied without it: who applies, and with what changes, is said
there, and as `placement-work` it might do more than its author may.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Meta, Secret
from mesh_placement.decide.manifests import Named, Refusal, named, refusal_of
from mesh_placement.decide.overrides import overridden, rule_for, with_replicas
from mesh_placement.decide.ranks import WORKLOADS, rank_of_kind
from mesh_placement.decide.reasons import Reason
from mesh_placement.names import (
    ANNOTATION_REVISION,
    ANNOTATION_TAKE_OVER,
    ANNOTATION_TARGET,
    LABEL_ASSIGNMENT,
    SECRETS_PREFIX,
    WORK_ACCOUNT,
)
from mesh_placement.objects import Assignment, Manifest, TakeOver, Work


@dataclass(frozen=True, slots=True)
class Settings:
    """How it is applied: `user` is whom the member's API server takes us for."""

    user: str
    take_over: TakeOver = "Never"
    assignment: Assignment | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object: the manifest after overrides, or why it is refused. `one` is None where it has no name."""

    ordinal: int
    manifest: Manifest
    one: Named | None
    refusal: Refusal | None = None

    @property
    def rank(self) -> int:
        """Of its kind."""
        return rank_of_kind(self.one.group, self.one.kind) if self.one is not None else WORKLOADS


def user_of(assignment: Assignment | None) -> str:
    """The ServiceAccount as which it is applied, by its user name."""
    account = assignment.spec.service_account if assignment is not None else None
    if account is not None and account.name:
        return f"system:serviceaccount:{account.namespace or SYSTEM_NAMESPACE}:{account.name}"
    return f"system:serviceaccount:{SYSTEM_NAMESPACE}:{WORK_ACCOUNT}"


def settings_of(work: Work, *, assignment: Assignment | None) -> Settings | str:
    """How the Work is applied, or for what it waits ("Assignment/shop")."""
    meta = work.metadata
    if assignment is None and meta.labels.get(LABEL_ASSIGNMENT):
        return f"Assignment/{meta.labels[LABEL_ASSIGNMENT]}"
    if assignment is not None:
        return Settings(user_of(assignment), assignment.spec.take_over, assignment)
    return Settings(user_of(None), _take_over(meta.annotations.get(ANNOTATION_TAKE_OVER, "")))


def is_of_revision(work: Meta, assignment: Assignment) -> bool:
    """Whether a Work was written for the Assignment as it is; who writes no revision means always."""
    revision = work.annotations.get(ANNOTATION_REVISION)
    return revision is None or revision == str(assignment.spec.revision)


def wanted_of(work: Work, *, assignment: Assignment | None) -> tuple[Wanted, ...]:
    """The objects of a Work, in its order."""
    name = work.metadata.name
    if name.startswith(SECRETS_PREFIX):
        why = Refusal(Reason.INVALID, f"Works must not be called {SECRETS_PREFIX}*: give it another name")
        return tuple(Wanted(n, one, None, why) for n, one in enumerate(work.spec.workload.manifests))
    return tuple(
        _wanted(number, manifest, assignment=assignment)
        for number, manifest in enumerate(work.spec.workload.manifests)
    )


def wanted_secrets(
    assignment: Assignment, *, find: Callable[[str], Secret | None]
) -> tuple[tuple[Wanted, ...], str]:
    """The Secrets that travel beside the Works, and the first that is not there yet ("" when all are)."""
    wanted: list[Wanted] = []
    missing = ""
    for number, name in enumerate(sorted(assignment.spec.secrets)):
        secret = find(name)
        if secret is None:
            missing = missing or f"Secret/{name}"
        else:
            wanted.append(_secret(number, secret))
    return tuple(wanted), missing


def identities(work: Work) -> Iterable[tuple[str, str, str, str]]:
    """Identities of all objects that a Work brings, for the index by which sharers are found."""
    for manifest in work.spec.workload.manifests:
        one = named(manifest)
        if isinstance(one, Named):
            yield one.identity


def definitions(work: Work) -> Iterable[tuple[str, tuple[str, str]]]:
    """(name, (group, kind)) of the CustomResourceDefinitions that a Work brings."""
    for manifest in work.spec.workload.manifests:
        one = named(manifest)
        if isinstance(one, Named) and one.kind == "CustomResourceDefinition":
            spec = manifest.get("spec")
            names = spec.get("names") if isinstance(spec, dict) else None
            if isinstance(names, dict) and isinstance(spec, dict):
                yield one.name, (str(spec.get("group", "")), str(names.get("kind", "")))


def rival(work: Work, manifest: Manifest, *, others: Iterable[Work]) -> str:
    """The older Work that brings the same object differently, "" when none does.

    The same object in several Works is common: each app brings its namespace. It stays while one has it.
    """
    mine = named(manifest)
    if not isinstance(mine, Named):
        return ""
    for other in sorted(others, key=_age):
        if _age(other) >= _age(work) or other.metadata.deletion_timestamp is not None:
            continue
        for theirs in other.spec.workload.manifests:
            one = named(theirs)
            if isinstance(one, Named) and one.identity == mine.identity and theirs != manifest:
                return other.metadata.name
    return ""


def _wanted(number: int, manifest: Manifest, *, assignment: Assignment | None) -> Wanted:
    one = named(manifest)
    if isinstance(one, Refusal):
        return Wanted(number, manifest, None, one)
    refusal = refusal_of(one)
    if refusal is not None or assignment is None:
        return Wanted(number, manifest, one, refusal)
    spec = assignment.spec
    rule = rule_for(one, spec.interpretations)
    counted = with_replicas(manifest, one=one, replicas=spec.replicas, rule=rule)
    changed = overridden(counted, one=one, overrides=spec.overrides)
    if isinstance(changed, Refusal):
        return Wanted(number, manifest, one, changed)
    return Wanted(number, changed, one)


def _secret(number: int, secret: Secret) -> Wanted:
    namespace, _, name = secret.metadata.annotations.get(ANNOTATION_TARGET, "").partition("/")
    if not namespace or not name or "/" in name:
        why = f"Secret {secret.metadata.name}: annotate it with {ANNOTATION_TARGET}: <namespace>/<name>"
        return Wanted(number, {}, None, Refusal(Reason.INVALID, why))
    manifest: Manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name},
        "type": secret.type or "Opaque",
        "data": dict(secret.data),
    }
    return Wanted(number, manifest, Named("", "v1", "Secret", namespace, name))


def _take_over(text: str) -> TakeOver:
    return text if text in ("IfNoDiff", "Always") else "Never"  # type: ignore[return-value]  # narrowed by `in`


def _age(work: Work) -> tuple[str, str]:
    return work.metadata.creation_timestamp, work.metadata.name

"""What an Assignment changes in a Work's manifests for this member: overrides, and the replicas."""

from collections.abc import Sequence

from mesh_placement.decide.field_paths import written_at
from mesh_placement.decide.json_patch import PatchRefused, patched
from mesh_placement.decide.manifests import Named, Refusal, named
from mesh_placement.decide.reasons import Reason
from mesh_placement.objects import Interpretation, Manifest, Override

_WITH_REPLICAS = {
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("", "ReplicationController"),
}


def overridden(manifest: Manifest, *, one: Named, overrides: Sequence[Override]) -> Manifest | Refusal:
    """The manifest after all overrides that match it, in their order; they cannot make another of it."""
    for override in overrides:
        if override.kind not in ("", one.kind) or override.name not in ("", one.name):
            continue
        try:
            changed = patched(manifest, override.patch)
        except PatchRefused as error:
            return Refusal(Reason.OVERRIDE_FAILED, f"{one}: {error}")
        if not isinstance(changed, dict) or named(changed) != one:
            return Refusal(
                Reason.OVERRIDE_FAILED,
                f"{one}: an override must leave apiVersion, kind, name and namespace as they are; correct it",
            )
        manifest = changed
    return manifest


def with_replicas(
    manifest: Manifest, *, one: Named, replicas: int | None, rule: Interpretation | None = None
) -> Manifest:
    """With the Assignment's count, where `rule` or else the kind has one."""
    if replicas is None:
        return manifest
    if rule is not None and rule.replicas is not None:
        # Nothing but a spec is written to, whatever a hub says: who the object is stays.
        is_in_spec = rule.replicas.startswith(".spec.")
        return written_at(manifest, rule.replicas, replicas) if is_in_spec else manifest
    if not has_replicas(manifest, one=one):
        return manifest
    return {**manifest, "spec": {**manifest["spec"], "replicas": replicas}}


def rule_for(one: Named, rules: Sequence[Interpretation]) -> Interpretation | None:
    """What the Assignment says of the kind, None where conventions hold."""
    return next(
        (rule for rule in rules if (rule.api_version, rule.kind) == (one.api_version, one.kind)), None
    )


def has_replicas(manifest: Manifest, *, one: Named) -> bool:
    """Whether the kind has a count; a custom resource has where it says `replicas`."""
    spec = manifest.get("spec")
    if not isinstance(spec, dict):
        return False
    return (one.group, one.kind) in _WITH_REPLICAS or isinstance(spec.get("replicas"), int)


def without_replicas(manifest: Manifest) -> Manifest:
    """Without a count, for who leaves it to an autoscaler."""
    spec = {key: value for key, value in manifest.get("spec", {}).items() if key != "replicas"}
    return {**manifest, "spec": spec}

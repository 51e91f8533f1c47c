"""What a custom resource means, placement.meshctl.dev/v1alpha1: where its pods stand in it, and how it says
that it is well. Paths are simple field paths (".spec.worker.replicas")."""

from msgspec import Struct

from mesh_core.objects import KubernetesObject


class TargetKind(Struct, frozen=True, rename="camel", kw_only=True):
    """The kind that is meant, in one version."""

    api_version: str = ""
    kind: str = ""


class HealthRule(Struct, frozen=True, rename="camel", kw_only=True):
    """An object is judged by the value at `path`, or else by the status of its condition `condition`.

    `healthy` are the values of one that is well, `degraded` those of one that will not be; with any other, or
    none yet, it is on its way.
    """

    path: str = ""
    condition: str = ""
    healthy: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()


class ComponentRule(Struct, frozen=True, rename="camel", kw_only=True):
    """Pods of one template; one without `replicas`. `divided` None: if no other component has `replicas`."""

    name: str
    template: str
    replicas: str = ""
    divided: bool | None = None


class ReferenceRule(Struct, frozen=True, rename="camel", kw_only=True):
    """At `path` the object names others of the core group's `kind`, in its own namespace: a name, an object
    with a `name`, or a list of these."""

    kind: str = ""
    path: str = ""


class ResourceInterpreterSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """Without `components` pods are counted, without `health` an object is judged, by convention.

    `references` come beside what convention finds.
    """

    target: TargetKind = TargetKind()
    health: HealthRule | None = None
    components: tuple[ComponentRule, ...] = ()
    references: tuple[ReferenceRule, ...] = ()


class ResourceInterpreter(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """Written by administrators of the hub, for all Placements."""

    spec: ResourceInterpreterSpec = ResourceInterpreterSpec()


class Interpretation(Struct, frozen=True, rename="camel", kw_only=True):
    """What a member has to know of a kind: it comes with the Assignment, because members have no
    ResourceInterpreters.

    `replicas` is where the Assignment's count is written: None, where convention says; "", nowhere.
    """

    api_version: str
    kind: str
    health: HealthRule | None = None
    replicas: str | None = None

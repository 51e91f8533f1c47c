"""Business host names of what a member is given: which `meshctl.dev/public` its ServiceExports ask for. Pure.

1. What counts is what the member applies: the manifests of the Works, after the Assignment's overrides.
2. The member's gateways decide who has a name (docs/names.md, "Public names"); here is found what none of
   them could follow.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mesh_core.names import ANNOTATION_PUBLIC
from mesh_core.policy import InvalidPolicy, policy_of
from mesh_placement.decide.manifests import Named, Refusal, named
from mesh_placement.decide.overrides import overridden
from mesh_placement.objects import Manifest, Override

_EXPORT = ("multicluster.x-k8s.io", "ServiceExport")


@dataclass(frozen=True, slots=True, order=True)
class HostName:
    """`host` leads to `port` (a number, or the name of a port) of `service`."""

    host: str
    namespace: str
    service: str
    port: int | str


@dataclass(frozen=True, slots=True)
class HostNames:
    """In the order of the hosts; `faults` are sentences for whoever wrote the manifests."""

    names: tuple[HostName, ...]
    faults: tuple[str, ...]


def host_names(manifests: Iterable[Manifest], *, overrides: Sequence[Override]) -> HostNames:
    """What these manifests ask for in a member that has these overrides; each host once."""
    found: dict[str, HostName] = {}
    faults: list[str] = []
    for manifest in manifests:
        one = named(manifest)
        if isinstance(one, Refusal) or (one.group, one.kind) != _EXPORT:
            continue
        changed = overridden(manifest, one=one, overrides=overrides)
        if isinstance(changed, Refusal):
            faults.append(changed.message)
            continue
        for name in _names(changed, one=one, faults=faults):
            other = found.setdefault(name.host, name)
            if other != name:
                faults.append(
                    f"{name.host} is asked for by {_export(other)} and {_export(name)}, and one of them gets "
                    "nothing; take it out of one"
                )
    return HostNames(tuple(sorted(found.values(), key=lambda each: each.host)), tuple(faults))


def _names(manifest: Manifest, *, one: Named, faults: list[str]) -> list[HostName]:
    annotations = manifest["metadata"].get("annotations")
    if not isinstance(annotations, dict) or ANNOTATION_PUBLIC not in annotations:
        return []
    policy = policy_of({str(key): str(text) for key, text in annotations.items()})
    if isinstance(policy, InvalidPolicy):
        faults.append(f"the export {one.namespace}/{one.name} is withheld: {policy.why}")
        return []
    return [HostName(each.name, one.namespace, one.name, each.port) for each in policy.public]


def _export(name: HostName) -> str:
    return f"{name.namespace}/{name.service}"

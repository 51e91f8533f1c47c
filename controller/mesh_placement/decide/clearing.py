"""In which order a member deletes what Works have brought: as it came, backwards.

What is used goes after what uses it: webhooks before all, for they may refuse the rest; kinds and namespaces
at the very end. What no rank names counts as a workload: whatever it is, it may use all that stands below.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mesh_placement.names import ANNOTATION_ACCOUNT
from mesh_placement.objects import AppliedResource, AppliedWork

_RBAC: Final = "rbac.authorization.k8s.io"
_WORKLOADS: Final = 5
_RANKS: Final = {
    ("", "namespaces"): 0,
    ("apiextensions.k8s.io", "customresourcedefinitions"): 0,
    (_RBAC, "clusterroles"): 1,
    (_RBAC, "clusterrolebindings"): 1,
    (_RBAC, "roles"): 1,
    (_RBAC, "rolebindings"): 1,
    ("", "serviceaccounts"): 2,
    ("", "limitranges"): 2,
    ("", "resourcequotas"): 2,
    ("networking.k8s.io", "networkpolicies"): 2,
    ("policy", "poddisruptionbudgets"): 2,
    ("", "secrets"): 3,
    ("", "configmaps"): 3,
    ("", "persistentvolumes"): 3,
    ("", "persistentvolumeclaims"): 3,
    ("storage.k8s.io", "storageclasses"): 3,
    ("", "services"): 4,
    ("multicluster.x-k8s.io", "serviceexports"): 4,
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): 6,
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): 6,
}


@dataclass(frozen=True, slots=True)
class Applied:
    """One object of an inventory, and the user as whom it was applied ("": by default)."""

    what: AppliedResource
    account: str


def clearing_batches(works: Iterable[AppliedWork]) -> tuple[tuple[Applied, ...], ...]:
    """All that the inventories name, each object once; a batch goes when the one before it has gone."""
    found = {
        (one.group, one.resource, one.namespace, one.name, one.uid): Applied(one, _account(work))
        for work in sorted(works, key=lambda work: work.metadata.name)
        for one in work.status.applied_resources
    }
    ranks = sorted({_rank(one) for one in found.values()}, reverse=True)
    ordered = [found[key] for key in sorted(found)]
    return tuple(tuple(one for one in ordered if _rank(one) == rank) for rank in ranks)


def _account(work: AppliedWork) -> str:
    return work.metadata.annotations.get(ANNOTATION_ACCOUNT, "")


def _rank(one: Applied) -> int:
    return _RANKS.get((one.what.group, one.what.resource), _WORKLOADS)

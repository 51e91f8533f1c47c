"""Filter API: does the cluster serve the kinds that the placement brings?"""

from collections.abc import Mapping, Sequence

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.row_facts import exceptions_of
from mesh_placement.schedule.snapshot import Cluster, Wanted

_EVERYWHERE = frozenset(("v1", "apps/v1", "batch/v1", "rbac.authorization.k8s.io/v1"))
"""No cluster is without them."""


class Apis:
    """APIMissing."""

    name = "API"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """Those that tell what they serve, and not this."""
        needed = frozenset(wanted.demand.apis) - _EVERYWHERE
        if not needed:
            return {}
        return exceptions_of(look, ("API", needed), clusters, lambda one: _missing(needed, there=one.apis))


def _missing(needed: frozenset[str], *, there: Sequence[str]) -> Rejection | None:
    missing = needed.difference(there)
    return _rejection(sorted(missing), there=there) if there and missing else None


def _rejection(missing: list[str], *, there: Sequence[str]) -> Rejection:
    group = missing[0].rpartition("/")[0]
    others = sorted(one for one in there if group and one.startswith(f"{group}/"))
    hint = f"install the definition of {missing[0]} there, or bring it with the placement"
    if others:
        hint = f"it serves {', '.join(others)}: write the manifest in that version"
    return Rejection(
        "APIMissing",
        observed=f"does not serve {', '.join(missing)}",
        required=f"serves {', '.join(missing)}",
        hint=hint,
    )

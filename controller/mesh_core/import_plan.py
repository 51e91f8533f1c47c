"""What to write so that one import stands in this cluster: ServiceImport, shadow Service, slices.

KEP-1645, "Importing Services" and "ClusterSetIP"; docs/conflicts.md.

1. Nothing is done in a namespace that is missing or being deleted.
2. The order is ServiceImport, shadow Service (which needs the former's UID), IPs and IP families in one
   write, status, slices. What needs an answer of the API server waits for the next look, so a plan is
   made again after each write until it is empty.
3. A ServiceImport or Service with our name but without our label is somebody's own: it is never written
   or deleted, and what would lean on it is left out. `obstacle` says so in a sentence.
4. IPs stay: a lost shadow Service is made again with the ClusterIP that the ServiceImport states.
5. A port is noted as resting before the slice that claims it goes or changes.
"""

from datetime import datetime

from mesh_core.import_view import ImportView, is_open, is_ours
from mesh_core.merge import merge
from mesh_core.plan import Kind, Plan, deletion
from mesh_core.service_import import plan_service_import, plan_status, spec_with_ips
from mesh_core.shadow_service import plan_shadow
from mesh_core.slice_plan import plan_slices, rest_before


def plan_import(view: ImportView, *, now: datetime) -> Plan:
    """The writes that bring the import nearer to what it should be; empty when it is that."""
    if not is_open(view.home):
        return ()
    merged = merge(view.records)
    if merged is None:
        return _withdrawal(view)
    if view.service_import is not None and not is_ours(view.service_import):
        return ()
    spec = spec_with_ips(view, merged=merged)
    ours_to_use = view.shadow is None or is_ours(view.shadow)
    plan = plan_service_import(view, merged=merged, spec=spec)
    if ours_to_use:
        plan += plan_shadow(view, spec=spec)
    if view.service_import is not None:
        plan += plan_status(view, seen=view.service_import, merged=merged, spec=spec, now=now)
    if ours_to_use:
        plan += plan_slices(view, merged=merged)
    return plan


def _withdrawal(view: ImportView) -> Plan:
    """Everything of ours goes: the name first, so that nobody new comes, then what carried it."""
    plan: Plan = rest_before(view, wanted=())
    if view.service_import is not None and is_ours(view.service_import):
        plan += (deletion(Kind.SERVICE_IMPORT, view.service_import),)
    plan += tuple(deletion(Kind.ENDPOINT_SLICE, piece) for piece in view.slices)
    if view.shadow is not None and is_ours(view.shadow):
        plan += (deletion(Kind.SERVICE, view.shadow),)
    return plan

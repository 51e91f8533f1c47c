"""What to write so that one import stands in this cluster: ServiceImport, shadow Service, slices, stand-ins.

KEP-1645, "Importing Services" and "ClusterSetIP"; docs/conflicts.md.

1. Nothing is made in a namespace that is missing or being deleted; what stands elsewhere for it goes.
2. The order is shadow Service, ServiceImport with its IPs and IP families in one write, status, slices. What
   needs an answer of the API server waits for the next look, so a plan is made again after each write until
   it is empty.
3. A ServiceImport or Service with our name but without our label is somebody's own: it is never written
   or deleted, and what would lean on it is taken away. `obstacle` says so in a sentence.
4. IPs stay: a lost shadow Service is made again with the ClusterIP that the ServiceImport states.
5. A port is noted as resting before the slice that claims it goes or changes.
"""

from collections.abc import Sequence
from datetime import datetime

from mesh_core.import_view import ImportView, is_open, is_ours
from mesh_core.merge import MergedImport
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import EndpointSlice
from mesh_core.plan import Kind, Plan, deletion
from mesh_core.service_import import plan_service_import, plan_status, spec_with_ips
from mesh_core.shadow_service import plan_leftover_shadow, plan_shadow
from mesh_core.slice_plan import plan_slices, rest_before
from mesh_core.stand_in_plan import plan_stand_ins


def plan_import(view: ImportView, *, now: datetime) -> Plan:
    """The writes that bring the import nearer to what it should be; empty when it is that."""
    if not is_open(view.home):
        # What is in the namespace goes with it.
        return _carriers(view, everywhere=False)
    merged = view.merged
    if merged is None:
        return _withdrawal(view)
    if view.service_import is not None and not is_ours(view.service_import):
        return _carriers(view, everywhere=True)
    if merged.spec.type == "Headless":
        return _plan_headless(view, merged=merged, now=now)
    return _plan_with_ips(view, merged=merged, now=now)


def _plan_with_ips(view: ImportView, *, merged: MergedImport, now: datetime) -> Plan:
    spec = spec_with_ips(view, merged=merged)
    ours_to_use = view.shadow is None or is_ours(view.shadow)
    plan: Plan = plan_shadow(view, spec=merged.spec) if ours_to_use else ()
    # Its first words should be its last: it waits for its IPs, unless there will be none.
    if spec.ips or view.service_import is not None or not ours_to_use:
        plan += plan_service_import(view, merged=merged, spec=spec)
    if view.service_import is not None:
        plan += plan_status(view, seen=view.service_import, merged=merged, spec=spec, now=now)
    # Slices in somebody else's Service's name would give it our endpoints.
    plan += plan_slices(view, merged=merged, now=now) if ours_to_use else _without(view, slices=view.slices)
    # Stand-ins of a time when it was headless are no part of it any more.
    return plan + tuple(deletion(Kind.SERVICE, service) for service in view.stand_ins)


def _plan_headless(view: ImportView, *, merged: MergedImport, now: datetime) -> Plan:
    spec = merged.spec
    plan = plan_service_import(view, merged=merged, spec=spec)
    if view.service_import is not None:
        plan += plan_status(view, seen=view.service_import, merged=merged, spec=spec, now=now)
    plan += plan_slices(view, merged=merged, now=now)
    plan += plan_leftover_shadow(view, now=now)
    # Last, because it is they that fail when cluster IPs have run out.
    return plan + plan_stand_ins(view, merged=merged, now=now)


def _withdrawal(view: ImportView) -> Plan:
    """Everything of ours goes: the name first, so that nobody new comes, then what carried it."""
    plan: Plan = ()
    if view.service_import is not None and is_ours(view.service_import):
        plan += (deletion(Kind.SERVICE_IMPORT, view.service_import),)
    return plan + _carriers(view, everywhere=True)


def _carriers(view: ImportView, *, everywhere: bool) -> Plan:
    """Slices, shadow Service and stand-ins go; only those in our own namespace unless `everywhere`."""
    slices = [s for s in view.slices if everywhere or s.metadata.namespace == SYSTEM_NAMESPACE]
    plan = _without(view, slices=slices)
    plan += tuple(deletion(Kind.SERVICE, service) for service in view.stand_ins)
    if everywhere and view.shadow is not None and is_ours(view.shadow):
        plan += (deletion(Kind.SERVICE, view.shadow),)
    return plan


def _without(view: ImportView, *, slices: Sequence[EndpointSlice]) -> Plan:
    """These slices go, their ports noted first."""
    plan: Plan = rest_before(view, wanted=()) if slices else ()
    return plan + tuple(deletion(Kind.ENDPOINT_SLICE, piece) for piece in slices)

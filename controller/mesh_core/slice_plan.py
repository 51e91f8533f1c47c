"""Writing the slices of an import: made before others go, and ports noted before they are free."""

from collections.abc import Iterable
from datetime import datetime

from mesh_core.chunks import normal_ports
from mesh_core.import_view import ImportView
from mesh_core.layout import layout_of
from mesh_core.merge import MergedImport
from mesh_core.names import LABEL_KUBERNETES_SERVICE
from mesh_core.objects import EndpointSlice
from mesh_core.plan import Create, Json, Kind, Plan, Rest, as_json, deletion, difference, patch
from mesh_core.ports import PortTarget, claims_of
from mesh_core.slices import WantedSlice, gateway_slices, neighbour_slices, own_slices
from mesh_core.stand_in_plan import stand_in_slices

_OURS = "meshctl.dev/"


def wanted_slices(view: ImportView, *, merged: MergedImport, now: datetime) -> list[WantedSlice]:
    """All slices that the import should have."""
    layout = layout_of(view, merged=merged)
    return [
        *own_slices(view, layout=layout),
        *neighbour_slices(view, layout=layout),
        *gateway_slices(view, layout=layout),
        *stand_in_slices(view, merged=merged, now=now),
    ]


def plan_slices(view: ImportView, *, merged: MergedImport, now: datetime) -> Plan:
    """The writes that make the slices of the import what they should be."""
    wanted = wanted_slices(view, merged=merged, now=now)
    seen = {piece.key: piece for piece in view.slices}
    names = {(piece.namespace, piece.name) for piece in wanted}
    gone = [piece for key, piece in sorted(seen.items()) if key not in names]
    # One that cannot become what it should be goes, and the next look makes it anew.
    unfit = [w for w in wanted if (s := seen.get((w.namespace, w.name))) and not _can_become(s, wanted=w)]
    gone += [seen[piece.namespace, piece.name] for piece in unfit]
    rest = rest_before(view, wanted=[piece for piece in wanted if piece not in unfit])
    freed = {port for step in rest if isinstance(step, Rest) for port in step.ports}
    plan: Plan = ()
    # What frees a port comes last, behind its note: a note that cannot be written holds up nothing else.
    late: Plan = ()
    for piece in wanted:
        known = seen.get((piece.namespace, piece.name))
        if piece in unfit:
            continue
        if known is None:
            plan += (_new_slice(piece),)
        elif any(claim.port in freed for claim in claims_of(known, cluster=view.cluster)):
            late += _changed_slice(known, wanted=piece)
        else:
            plan += _changed_slice(known, wanted=piece)
    return plan + rest + late + tuple(deletion(Kind.ENDPOINT_SLICE, piece) for piece in gone)


def _can_become(seen: EndpointSlice, *, wanted: WantedSlice) -> bool:
    """Whether a slice can be changed so: its family cannot, its Service must not (law 5 of the slices)."""
    services = (
        seen.metadata.labels.get(LABEL_KUBERNETES_SERVICE),
        wanted.labels.get(LABEL_KUBERNETES_SERVICE),
    )
    return seen.address_type == wanted.address_type and services[0] == services[1]


def _new_slice(wanted: WantedSlice) -> Create:
    metadata: Json = {"namespace": wanted.namespace, "name": wanted.name, "labels": dict(wanted.labels)}
    if wanted.annotations:
        metadata["annotations"] = dict(wanted.annotations)
    body = {
        "metadata": metadata,
        "addressType": wanted.address_type,
        "ports": as_json(wanted.ports),
        "endpoints": as_json(wanted.endpoints),
    }
    return Create(kind=Kind.ENDPOINT_SLICE, body=body)


def _changed_slice(seen: EndpointSlice, *, wanted: WantedSlice) -> Plan:
    meta = seen.metadata
    labels = {**meta.labels, **wanted.labels}
    foreign = {key: text for key, text in meta.annotations.items() if not key.startswith(_OURS)}
    annotations = {**foreign, **wanted.annotations}
    # Compared as values first: most slices of a big service are as they should be, and JSON is dear.
    before: Json = {"metadata": {"labels": meta.labels, "annotations": meta.annotations}}
    after: Json = {"metadata": {"labels": labels, "annotations": annotations}}
    if normal_ports(seen.ports) != normal_ports(wanted.ports):
        after["ports"] = as_json(normal_ports(wanted.ports))
    if _plain(seen.endpoints) != _plain(wanted.endpoints):
        after["endpoints"] = as_json(wanted.endpoints)
    return patch(Kind.ENDPOINT_SLICE, seen, body=difference(before=before, after=after))


def _plain(endpoints: object) -> object:
    """Endpoints as they compare: the API server serves no list for an empty one."""
    return endpoints or ()


def rest_before(view: ImportView, *, wanted: Iterable[WantedSlice]) -> Plan:
    """The note about ports that no slice of this import will claim any more, and nobody else claims."""
    claims = (claim for piece in view.slices for claim in claims_of(piece, cluster=view.cluster))
    held = {claim.port: claim.target for claim in claims}
    kept = {port.port for piece in wanted if piece.leads_to_gateways for port in piece.ports}
    freed: dict[int, PortTarget] = {
        port: target
        for port, target in sorted(held.items())
        if port not in kept and port not in view.contested
    }
    return (Rest(ports=freed),) if freed else ()

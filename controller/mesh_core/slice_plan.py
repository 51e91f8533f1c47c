"""Writing the slices of an import: made before others go, and ports noted before they are free."""

from collections.abc import Iterable

from mesh_core.import_view import ImportView
from mesh_core.merge import MergedImport
from mesh_core.names import LABEL_SOURCE_CLUSTER
from mesh_core.objects import EndpointSlice
from mesh_core.plan import Create, Kind, Plan, Rest, as_json, deletion, difference, patch
from mesh_core.ports import PortTarget, claims_of
from mesh_core.slices import WantedSlice, normal_ports, own_slices, remote_slices, slice_labels


def _wanted_slices(view: ImportView, *, merged: MergedImport) -> list[WantedSlice]:
    mine = [s for s in view.slices if s.metadata.labels.get(LABEL_SOURCE_CLUSTER) == view.cluster]
    own = own_slices(
        merged,
        service=view.name,
        cluster=view.cluster,
        source_slices=view.source_slices,
        existing=mine,
    )
    return own + remote_slices(
        merged, service=view.name, cluster=view.cluster, gateways=view.gateways, ports=view.ports
    )


def plan_slices(view: ImportView, *, merged: MergedImport) -> Plan:
    """The writes that make the slices of the import what they should be."""
    wanted = _wanted_slices(view, merged=merged)
    seen = {piece.metadata.name: piece for piece in view.slices}
    names = {piece.name for piece in wanted}
    gone = [piece for name, piece in sorted(seen.items()) if name not in names]
    plan = rest_before(view, wanted=wanted)
    for piece in wanted:
        known = seen.get(piece.name)
        if known is None:
            plan += (_new_slice(view, wanted=piece),)
        else:
            plan += _changed_slice(view, known, wanted=piece)
    return plan + tuple(deletion(Kind.ENDPOINT_SLICE, piece) for piece in gone)


def _new_slice(view: ImportView, *, wanted: WantedSlice) -> Create:
    body = {
        "metadata": {
            "namespace": view.namespace,
            "name": wanted.name,
            "labels": _labels(view, wanted=wanted),
            "annotations": wanted.annotations(),
        },
        "addressType": wanted.address_type,
        "ports": as_json(wanted.ports),
        "endpoints": as_json(wanted.endpoints),
    }
    return Create(kind=Kind.ENDPOINT_SLICE, body=body)


def _changed_slice(view: ImportView, seen: EndpointSlice, *, wanted: WantedSlice) -> Plan:
    labels = {**seen.metadata.labels, **_labels(view, wanted=wanted)}
    annotations = {**seen.metadata.annotations, **wanted.annotations()}
    before = {
        "metadata": {"labels": seen.metadata.labels, "annotations": seen.metadata.annotations},
        "ports": as_json(normal_ports(seen.ports)),
        "endpoints": as_json(seen.endpoints or ()),
    }
    after = {
        "metadata": {"labels": labels, "annotations": annotations},
        "ports": as_json(wanted.ports),
        "endpoints": as_json(wanted.endpoints),
    }
    return patch(Kind.ENDPOINT_SLICE, seen, body=difference(before=before, after=after))


def _labels(view: ImportView, *, wanted: WantedSlice) -> dict[str, str]:
    return slice_labels(namespace=view.namespace, service=view.name, cluster=wanted.cluster)


def rest_before(view: ImportView, *, wanted: Iterable[WantedSlice]) -> Plan:
    """The note about ports that no slice of this import will claim any more, and nobody else claims."""
    claims = (claim for piece in view.slices for claim in claims_of(piece, cluster=view.cluster))
    held = {claim.port: claim.target for claim in claims}
    kept = {port.port for piece in wanted if piece.cluster != view.cluster for port in piece.ports}
    freed: dict[int, PortTarget] = {
        port: target
        for port, target in sorted(held.items())
        if port not in kept and port not in view.contested
    }
    return (Rest(ports=freed),) if freed else ()

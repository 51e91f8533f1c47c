"""Writing stand-ins: their Services and slices, and the slices of the import that list them.

1. A stand-in's slice claims its egress ports before the import lists its address.
2. Without an endpoint it is marked and refuses connections; after `KEPT` it goes, its ports noted first.
"""

import json
from datetime import datetime

from mesh_core.conditions import rfc3339
from mesh_core.import_view import ImportView
from mesh_core.merge import MergedImport
from mesh_core.names import (
    ANNOTATION_GONE_SINCE,
    ANNOTATION_TARGET_PORTS,
    LABEL_CLUSTER,
    LABEL_ENDPOINT,
    LABEL_KUBERNETES_SERVICE,
    LABEL_SLICE_MANAGED_BY,
    MANAGER,
    SYSTEM_NAMESPACE,
)
from mesh_core.objects import Endpoint, EndpointConditions, EndpointPort, EndpointSlice, Service
from mesh_core.plan import Create, Json, Kind, Plan, as_json, deletion, difference, patch
from mesh_core.ports import PortTarget
from mesh_core.slices import WantedSlice, mcs_labels
from mesh_core.stand_ins import (
    KEPT,
    STAND_INS,
    StandIn,
    addresses,
    gone_since,
    stand_in_labels,
    stand_ins,
    stated_address,
)


def plan_stand_ins(view: ImportView, *, merged: MergedImport, now: datetime) -> Plan:
    """The writes of stand-in Services that are due."""
    wanted = {one.name(view): one for one in stand_ins(view, merged=merged)}
    seen = {service.metadata.name: service for service in view.stand_ins}
    plan: Plan = ()
    for name, one in wanted.items():
        plan += _new(view, one) if name not in seen else _changed(view, seen[name], wanted=one)
    for name, service in sorted(seen.items()):
        if name in wanted:
            continue
        since = gone_since(service)
        if since is None:
            note = {"metadata": {"annotations": {ANNOTATION_GONE_SINCE: rfc3339(now)}}}
            plan += patch(Kind.SERVICE, service, body=note)
        elif now - since >= KEPT:
            plan += (deletion(Kind.SERVICE, service),)
    return plan


def new_stand_ins(plan: Plan) -> dict[str, str]:
    """The stand-ins that a plan makes, by name, each with the cluster of its endpoint."""
    return {
        step.body["metadata"]["name"]: step.body["metadata"]["labels"][LABEL_CLUSTER]
        for step in plan
        if isinstance(step, Create)
        and step.kind is Kind.SERVICE
        and LABEL_ENDPOINT in step.body["metadata"]["labels"]
    }


def _new(view: ImportView, one: StandIn) -> Plan:
    address = stated_address(view, cluster=one.cluster, endpoint=one.endpoint)
    body = {
        "metadata": {
            "namespace": SYSTEM_NAMESPACE,
            "name": one.name(view),
            "labels": stand_in_labels(view, cluster=one.cluster, endpoint=one.endpoint),
        },
        "spec": {
            "type": "ClusterIP",
            "ipFamilies": [view.gateways.family],
            **({"clusterIP": address} if address else {}),
            "ports": _service_ports(one.numbers),
        },
    }
    return (Create(kind=Kind.SERVICE, body=body),)


def _changed(view: ImportView, seen: Service, *, wanted: StandIn) -> Plan:
    labels = stand_in_labels(view, cluster=wanted.cluster, endpoint=wanted.endpoint)
    kept = {k: v for k, v in seen.metadata.annotations.items() if k != ANNOTATION_GONE_SINCE}
    before: Json = {
        "metadata": {"labels": seen.metadata.labels, "annotations": seen.metadata.annotations},
        "spec": {
            "ports": [
                as_json({"name": p.name, "protocol": p.protocol, "port": p.port}) for p in seen.spec.ports
            ]
        },
    }
    after: Json = {
        "metadata": {"labels": {**seen.metadata.labels, **labels}, "annotations": kept},
        "spec": {"ports": _service_ports(wanted.numbers)},
    }
    return patch(Kind.SERVICE, seen, body=difference(before=before, after=after))


def _service_ports(ports: tuple[EndpointPort, ...]) -> list[Json]:
    return [{"name": p.name or "", "protocol": p.protocol, "port": p.port} for p in ports]


def stand_in_slices(view: ImportView, *, merged: MergedImport, now: datetime) -> list[WantedSlice]:
    """The slices behind stand-ins, and those of the import that list them."""
    wanted = {one.name(view): one for one in stand_ins(view, merged=merged)}
    # Also of one whose Service was deleted by hand: its slice keeps the port that it had.
    found = [_behind(view, name=name, one=one) for name, one in wanted.items()]
    slices = _slices_behind(view)
    for service in view.stand_ins:
        if service.metadata.name in wanted:
            continue
        since = gone_since(service)
        if since is None or now - since < KEPT:
            found += _at_rest(view, service, seen=slices.get(service.metadata.name))
    return found + _listing(view, wanted=wanted)


def _behind(view: ImportView, *, name: str, one: StandIn) -> WantedSlice:
    ready = one.source.is_ready
    conditions = EndpointConditions(ready=ready, serving=ready, terminating=False)
    ports = [(port, view.ports.get(_target(view, one, port=port))) for port in one.numbers]
    return WantedSlice(
        namespace=SYSTEM_NAMESPACE,
        name=f"{name}.{view.gateways.family.lower()}",
        address_type=view.gateways.family,
        ports=tuple(
            EndpointPort(name=port.name, protocol=port.protocol, port=held)
            for port, held in ports
            if held is not None
        ),
        endpoints=tuple(
            Endpoint(addresses=(address,), conditions=conditions)
            for address in view.gateways.of(view.gateways.family)
        ),
        labels=_slice_labels(view, name=name, cluster=one.cluster, endpoint=one.endpoint),
        annotations={
            ANNOTATION_TARGET_PORTS: json.dumps(
                {port.name or "": port.port for port in one.numbers}, sort_keys=True
            )
        },
    )


def _slices_behind(view: ImportView) -> dict[str, EndpointSlice]:
    """The slices in our namespace by the Service that they are behind, the first of each.

    Made once a look: an import whose pods are replaced has hundreds of stand-ins at rest for a while.
    """
    found: dict[str, EndpointSlice] = {}
    for piece in view.slices:
        if piece.metadata.namespace == SYSTEM_NAMESPACE:
            found.setdefault(piece.metadata.labels.get(LABEL_KUBERNETES_SERVICE, ""), piece)
    return found


def _at_rest(view: ImportView, service: Service, *, seen: EndpointSlice | None) -> list[WantedSlice]:
    """The slice of a stand-in without an endpoint: it keeps its ports, and nobody is let through."""
    if seen is None:
        return []
    name = service.metadata.name
    closed = EndpointConditions(ready=False, serving=False, terminating=False)
    labels = service.metadata.labels
    return [
        WantedSlice(
            namespace=SYSTEM_NAMESPACE,
            name=seen.metadata.name,
            address_type=seen.address_type,
            ports=seen.ports or (),
            endpoints=tuple(
                Endpoint(addresses=(address,), conditions=closed)
                for address in view.gateways.of(seen.address_type)
            ),
            labels=_slice_labels(
                view, name=name, cluster=labels[LABEL_CLUSTER], endpoint=labels[LABEL_ENDPOINT]
            ),
            annotations={
                ANNOTATION_TARGET_PORTS: seen.metadata.annotations.get(ANNOTATION_TARGET_PORTS, "{}")
            },
        )
    ]


def _slice_labels(view: ImportView, *, name: str, cluster: str, endpoint: str) -> dict[str, str]:
    return {
        **stand_in_labels(view, cluster=cluster, endpoint=endpoint),
        LABEL_SLICE_MANAGED_BY: MANAGER,
        LABEL_KUBERNETES_SERVICE: name,
    }


def _target(view: ImportView, one: StandIn, *, port: EndpointPort) -> PortTarget:
    return PortTarget(view.namespace, view.name, port.name or "", cluster=one.cluster, endpoint=one.endpoint)


def _listing(view: ImportView, *, wanted: dict[str, StandIn]) -> list[WantedSlice]:
    """What the import says of its endpoints in other networks: the addresses that stand for them.

    The hostname is the stand-in's endpoint: where the source has none, its own address with dashes, which
    is the name that it has in DNS in its own cluster too.
    """
    known = addresses(view.stand_ins)
    groups: dict[tuple[str, str, str], list[Endpoint]] = {}
    ports: dict[tuple[str, str, str], tuple[EndpointPort, ...]] = {}
    for name, one in wanted.items():
        # The address of a lost Service stays listed: it is where the new one takes it from.
        address = known.get(name) or stated_address(view, cluster=one.cluster, endpoint=one.endpoint)
        if not address:
            continue
        family = "IPv6" if ":" in address else "IPv4"
        key = (one.cluster, one.shard, family)
        source = one.source
        groups.setdefault(key, []).append(
            Endpoint(
                addresses=(address,),
                conditions=source.conditions,
                hostname=one.endpoint,
                zone=source.zone,
            )
        )
        ports[key] = one.ports
    return [
        WantedSlice(
            namespace=view.namespace,
            name=f"{view.name}.{cluster}.{shard}{STAND_INS}",
            address_type=family,
            ports=ports[cluster, shard, family],
            endpoints=tuple(endpoints),
            labels=mcs_labels(service=view.name, cluster=cluster),
        )
        for (cluster, shard, family), endpoints in sorted(groups.items())
    ]

"""What a cluster looks like, without what a fresh start may choose anew.

Left out are uids, versions, times, signatures and the notes about resting ports. A Service of ours stands for
its address, and what an egress port is for stands for the port. Lanes, and how many gateways a slice lists,
follow what was there before within a tolerance (`mesh_core.lanes`): lanes are left out, gateways are one.
"""

import json
from typing import Any

from mesh_core.names import LABEL_LANE, LABEL_MANAGED_BY, LABEL_SLICE_MANAGED_BY, MANAGER
from mesh_core.ports import claims_of, rightful_claims
from mesh_fakes.api_server import Item
from mesh_fakes.sim_member import SimMember
from mesh_runtime.kube import ENDPOINT_SLICES

Key = tuple[str, str, str]
_OURS_BY_KIND = ("importedrecords", "importedshards", "leases", "configmaps")
_WRITTEN_BY_BOTH = ("serviceexports", "meshpeers")


def is_of_users(key: Key, item: Item) -> bool:
    """Whether somebody else than our controllers made it."""
    labels = item["metadata"].get("labels") or {}
    ours = labels.get(LABEL_MANAGED_BY) == MANAGER or labels.get(LABEL_SLICE_MANAGED_BY) == MANAGER
    return not (ours or key[0].endswith(_OURS_BY_KIND))


def of_users(member: SimMember) -> dict[Key, Item]:
    """What users wrote, as they wrote it."""
    return {
        key: {name: part for name, part in item.items() if name != "status" or "namespaces" in key[0]}
        for key, item in member.api.items().items()
        if is_of_users(key, item)
    }


def picture(member: SimMember) -> dict[str, str]:
    """Every object that counts, as text, by its path."""
    items = member.api.items()
    names = _Names(member)
    return {
        "/".join(key[0].split("/")[-1:] + list(key[1:])): json.dumps(shown, sort_keys=True)
        for key, item in items.items()
        if not key[0].endswith(("leases", "configmaps"))
        if (shown := names.shown(key, item)) is not None
    }


class _Names:
    """What addresses and ports stand for in one cluster."""

    def __init__(self, member: SimMember) -> None:
        self._member = member
        self._addresses = {
            ip: f"address of {key[1]}/{key[2]}"
            for key, item in member.api.items().items()
            if key[0].endswith("/services") and not is_of_users(key, item)
            for ip in item["spec"].get("clusterIPs", ())
        }
        pieces = member.api.all(ENDPOINT_SLICES)
        claims = [claim for piece in pieces for claim in claims_of(piece, cluster=member.name)]
        self._ports = {
            port: str(target).partition("#")[0] for port, target in rightful_claims(claims).items()
        }
        self._claiming = {piece.key for piece in pieces if claims_of(piece, cluster=member.name)}

    def shown(self, key: Key, item: Item) -> Item | None:
        meta = item["metadata"]
        labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
        shown: Item = {"labels": labels, "annotations": annotations, "spec": item.get("spec")}
        kind = key[0].rpartition("/")[2]
        if kind in ("importedrecords", "importedshards"):
            # Every signature is another one, whoever makes it of whatever.
            shown["annotations"] = sorted(annotations)
        if kind == "endpointslices" and not is_of_users(key, item):
            if LABEL_LANE in labels:
                return None
            return {**shown, **self._slice(key, item)}
        if kind == "services" and not is_of_users(key, item):
            spec = {
                name: part for name, part in item["spec"].items() if name not in ("clusterIP", "clusterIPs")
            }
            return {**shown, "spec": spec}
        if kind == "serviceimports" and not is_of_users(key, item):
            shown["spec"] = {**item["spec"], "ips": self._named(item["spec"].get("ips", ()))}
        return {**shown, "status": _status(item), "rest": item.get("endpoints")}

    def _slice(self, key: Key, item: Item) -> Item:
        if key[1:] in self._claiming:
            conditions = sorted({json.dumps(e.get("conditions")) for e in item["endpoints"]})
            ports = [{**port, "port": self._ports.get(port["port"], "?")} for port in item["ports"]]
            return {"endpoints": conditions, "ports": ports}
        endpoints = [{**e, "addresses": self._named(e["addresses"])} for e in item.get("endpoints") or ()]
        return {"endpoints": endpoints, "ports": item.get("ports")}

    def _named(self, addresses: Any) -> list[str]:  # Any: a list out of JSON
        return [self._addresses.get(address, address) for address in addresses]


def _status(item: Item) -> Item | None:
    """A status without times; whether a condition speaks of this generation instead of which."""
    status = item.get("status")
    if not isinstance(status, dict):
        return None
    shown = {name: part for name, part in status.items() if name not in ("lastSync", "kubeSystemUid")}
    generation = item["metadata"].get("generation")
    shown["conditions"] = [
        {
            **{
                name: part
                for name, part in one.items()
                if name not in ("lastTransitionTime", "observedGeneration")
            },
            "current": one.get("observedGeneration") == generation,
        }
        for one in sorted(status.get("conditions", ()), key=lambda one: str(one["type"]))
    ]
    return shown

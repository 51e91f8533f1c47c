"""All objects of a cluster but those that one member may change: its own imports, and what we say of it."""

import json
from collections.abc import Mapping

from mesh_core.names import RESTING_PORTS_CONFIG_MAP
from mesh_fakes.api_server import Item
from mesh_fakes.members import Member

Picture = Mapping[str, str]
"""Every object by its place, whole and as text; of a lease only that it is there."""


def picture(member: Member, *, but: str, names: str) -> Picture:
    """The objects of `member` that are no business of the member `but`, whose Services begin with `names`."""
    return {
        "/".join(place): json.dumps(_lasting(place[0], item), sort_keys=True)
        for place, item in sorted(member.api._objects.items())
        if not _is_of(item, cluster=but, names=names)
    }


def notes_of_ports(member: Member) -> Mapping[str, str]:
    """The notes about egress ports, one for each port: a journal, in which everybody's imports stand."""
    found = [item for item in member.api._objects.values() if _name(item) == RESTING_PORTS_CONFIG_MAP]
    return {key: str(value) for item in found for key, value in item.get("data", {}).items()}


def _lasting(collection: str, item: Item) -> Item | str:
    """What of an object stays while nothing happens."""
    return "there" if collection.endswith("leases") else item


def _is_of(item: Item, *, cluster: str, names: str) -> bool:
    meta = item["metadata"]
    said = {**meta.get("labels", {}), **meta.get("annotations", {})}
    if _name(item) in (cluster, f"peer-{cluster}", RESTING_PORTS_CONFIG_MAP):
        return True
    about = str(item.get("regarding", {}).get("name", ""))
    if about == cluster or about.startswith(names):
        return True
    spec = item.get("spec", {})
    is_theirs = cluster in said.values() or (isinstance(spec, dict) and spec.get("cluster") == cluster)
    return is_theirs or _name(item).startswith(names) or any(str(v).startswith(names) for v in said.values())


def _name(item: Item) -> str:
    return str(item["metadata"]["name"])

"""What the API says of nodes and Deployments, read no further than whether they are ready."""

import datetime

import msgspec

# For what never said when.
EVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


class _Condition(msgspec.Struct, rename="camel"):
    type: str
    status: str
    last_heartbeat_time: datetime.datetime | None = None


class _Status(msgspec.Struct):
    conditions: list[_Condition] = []


class _Metadata(msgspec.Struct):
    name: str


class _Object(msgspec.Struct):
    metadata: _Metadata
    status: _Status


class _List(msgspec.Struct):
    items: list[_Object]


def ready_nodes(raw: bytes) -> dict[str, datetime.datetime]:
    """When each node of a NodeList that is ready last said so."""
    nodes = msgspec.json.decode(raw, type=_List).items
    return {
        node.metadata.name: condition.last_heartbeat_time or EVER
        for node in nodes
        for condition in node.status.conditions
        if condition.type == "Ready" and condition.status == "True"
    }


def is_available(raw: bytes) -> bool:
    """Whether a Deployment has the pods that it must have at least."""
    conditions = msgspec.json.decode(raw, type=_Object).status.conditions
    return any(one.type == "Available" and one.status == "True" for one in conditions)

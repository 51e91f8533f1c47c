"""The ServiceExport that `meshctl export` writes, and what is said of one that is there. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from mesh_core.errors import UserError
from mesh_core.export import READY, is_exported
from mesh_core.names import ANNOTATION_ALLOW
from mesh_core.objects import Condition, ServiceExport
from mesh_core.policy import InvalidPolicy, policy_of
from mesh_runtime.kube import SERVICE_EXPORTS

# A JSON object for the API server.
Body = Mapping[str, Any]


class BadAudience(UserError):
    """What was typed names nobody that an export can be for."""


def export_body(name: str, *, namespace: str, to: Sequence[str]) -> Body:
    """The ServiceExport, for the entries `to` alone, for every member without any. Raises BadAudience."""
    meta: dict[str, object] = {"name": name, "namespace": namespace}
    if to:
        annotations = {ANNOTATION_ALLOW: ",".join(dict.fromkeys(to))}
        policy = policy_of(annotations)
        if isinstance(policy, InvalidPolicy):
            raise BadAudience(f"--to cannot be followed: {policy.why}", next_step="correct --to")
        meta["annotations"] = annotations
    return {"metadata": meta}


def export_yaml(body: Body) -> str:
    """As `kubectl apply` takes it."""
    head = {"apiVersion": SERVICE_EXPORTS.api_version, "kind": SERVICE_EXPORTS.kind}
    return yaml.safe_dump({**head, **body}, sort_keys=False, width=1_000_000)


def need_not_be_written(seen: ServiceExport | None, *, to: Sequence[str]) -> bool:
    """Whether what is there stays as it is: without --to nobody is let in who was kept out before."""
    return not to and is_exported(seen)


def said_of(export: ServiceExport | None) -> Condition | None:
    """What the controller says of it as it is now; None as long as it has not looked."""
    if export is None:
        return None
    generation = export.metadata.generation
    ready = next((one for one in export.status.conditions if one.type == READY), None)
    return ready if ready is not None and ready.observed_generation >= generation else None

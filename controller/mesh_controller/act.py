"""Acting: applies a plan to the API server, step by step, in its order.

A step that fails ends the plan: whoever asked for it looks again, and the next plan goes on from what
is there then. So a plan may be cut off anywhere. Some failures do not: an object that the API server calls
invalid, or cannot make, will be no better next time, and must not keep the slices behind it from following
their pods. Where something could not be made, nothing of its kind is deleted in the same plan.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, assert_never

from mesh_controller.echoes import Trace
from mesh_core.objects import KubernetesObject
from mesh_core.plan import Apply, Create, Delete, Json, Kind, Patch, Plan, Rest, Step
from mesh_core.ports import PortTarget
from mesh_runtime.kube import (
    ENDPOINT_SLICES,
    IMPORTED_RECORDS,
    IMPORTED_SHARDS,
    MESH_PEERS,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
    TRUST_BUNDLES,
    ApiError,
    KubeClient,
    Resource,
)
from mesh_runtime.log import logger

_log = logger(__name__)


# Any: resources of several types, which differ only in what answers are decoded into.
_RESOURCES: Final[Mapping[Kind, Resource[Any]]] = {
    Kind.SERVICE_EXPORT: SERVICE_EXPORTS,
    Kind.SERVICE_IMPORT: SERVICE_IMPORTS,
    Kind.SERVICE: SERVICES,
    Kind.ENDPOINT_SLICE: ENDPOINT_SLICES,
    Kind.IMPORTED_RECORD: IMPORTED_RECORDS,
    Kind.IMPORTED_SHARD: IMPORTED_SHARDS,
    Kind.MESH_PEER: MESH_PEERS,
    Kind.TRUST_BUNDLE: TRUST_BUNDLES,
}


class Writer:
    """Applies plans. `rest` notes ports before what follows in a plan frees them."""

    def __init__(
        self, kube: KubeClient, *, rest: Callable[[Mapping[int, PortTarget]], Awaitable[None]] | None = None
    ) -> None:
        self._kube = kube
        self._rest = rest

    async def write(self, plan: Plan) -> tuple[Trace, ...]:
        """All steps, and what they left; raises ApiError or Unreachable for the first that fails."""
        traces: list[Trace] = []
        passed_over: ApiError | None = None
        unmade: set[Kind] = set()
        for step in plan:
            # What was to take its place could not be made.
            if isinstance(step, Delete) and step.kind in unmade:
                continue
            try:
                trace = await self._step(step)
            except ApiError as error:
                if not _is_passed_over(step, error=error):
                    raise
                passed_over = passed_over or error
                unmade |= {step.kind} if isinstance(step, Create) else set()
            else:
                traces += [trace] if trace is not None else []
        if passed_over is not None:
            raise passed_over
        return tuple(traces)

    async def _step(self, step: Step) -> Trace | None:
        match step:
            case Create(kind=kind, body=body):
                made = await self._kube.create(_RESOURCES[kind], body)
                meta = made.metadata
                _tell("created", kind=kind, namespace=meta.namespace, name=meta.name)
                return _trace(kind, made)
            case Patch(kind=kind, namespace=namespace, name=name, subresource=subresource):
                changed = await self._kube.merge_patch(
                    _RESOURCES[kind], name, _guarded(step), namespace=namespace, subresource=subresource
                )
                return _trace(kind, changed)
            case Apply(kind=kind, body=body, manager=manager, subresource=subresource):
                applied = await self._kube.apply(
                    _RESOURCES[kind], body, field_manager=manager, subresource=subresource
                )
                return _trace(kind, applied)
            case Delete(kind=kind, namespace=namespace, name=name, uid=uid):
                await self._kube.delete(_RESOURCES[kind], name, namespace=namespace, uid=uid)
                _tell("deleted", kind=kind, namespace=namespace, name=name)
                return Trace(kind, namespace, name, uid=uid, gone=True)
            case Rest(ports=ports):
                assert self._rest is not None, "a plan that frees ports needs a port book"
                await self._rest(ports)
                return None
            case _:
                assert_never(step)


def _is_passed_over(step: Step, *, error: ApiError) -> bool:
    """Whether the rest of the plan is written although this step failed.

    A note that cannot be written must come before what it is for. An object that cannot be made (the name is
    somebody else's, a quota, a webhook, no cluster IP left) will not be made by trying again at once.
    """
    if isinstance(step, Rest):
        return False
    return error.status == 422 or (isinstance(step, Create) and error.status in (403, 409, 500))


def _tell(event: str, *, kind: Kind, namespace: str, name: str) -> None:
    """Log what comes and goes by its name; what carries it comes and goes with it."""
    if kind is Kind.SERVICE_IMPORT:
        _log.info(event, kind=kind.value, namespace=namespace, name=name)


def _guarded(step: Patch) -> Json:
    """The patch, bound to the version of the object that was seen, if it is to be."""
    if not step.version:
        return step.body
    metadata = {**step.body.get("metadata", {}), "resourceVersion": step.version}
    return {**step.body, "metadata": metadata}


def _trace(kind: Kind, left: KubernetesObject) -> Trace:
    meta = left.metadata
    return Trace(kind, meta.namespace, meta.name, version=meta.resource_version, left=left)

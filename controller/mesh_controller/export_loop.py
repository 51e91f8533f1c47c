"""Conditions of our ServiceExports: look, think, act; run by the leading controller.

What goes to the peers does not wait for this: every replica tells it (`own_records`).
"""

from mesh_controller.act import Writer
from mesh_controller.caches import Caches, ServiceKey
from mesh_controller.echoes import Echoes
from mesh_controller.key_loop import KeyLoop
from mesh_controller.look import Look
from mesh_core.conditions import as_json
from mesh_core.export import conditions_of
from mesh_core.merge import merge
from mesh_core.plan import Kind, patch
from mesh_runtime.clock import Clock

_WORKERS = 16


class ExportLoop:
    """Keeps `status.conditions` of every ServiceExport true."""

    def __init__(self, *, caches: Caches, look: Look, writer: Writer, clock: Clock) -> None:
        self._caches = caches
        self._look = look
        self._writer = writer
        self._clock = clock
        self.loop: KeyLoop[ServiceKey] = KeyLoop(
            self.reconcile,
            name="export",
            all_keys=lambda: (export.key for export in caches.exports.values()),
            workers=_WORKERS,
        )
        self._echoes: Echoes[ServiceKey] = Echoes(caches.find)
        caches.feed_conditions(self.loop)

    async def reconcile(self, key: ServiceKey) -> float | None:
        """Write the conditions of one export if they are not what they should be."""
        overdue = self._echoes.overdue(key)
        if overdue is not None:
            return overdue
        namespace, name = key
        export = self._caches.exports.get(name, namespace=namespace)
        decision = self._look.own_export(key)
        if export is None or decision is None:
            return None
        merged = merge(self._look.records(key))
        conflicts = merged.conflicts if merged is not None else ()
        wanted = conditions_of(export, decision=decision, conflicts=conflicts, now=self._clock())
        if wanted == export.status.conditions:
            return None
        body = {"status": {"conditions": [as_json(condition) for condition in wanted]}}
        plan = patch(Kind.SERVICE_EXPORT, export, body=body, subresource="status")
        self._echoes.wrote(key, await self._writer.write(plan))
        return None

"""Watches of what we brought to the member, kind by kind, and of what gates wait for, object by object.

They are limited to our label, or to one name, so that a member's other objects cost nothing. Of kinds that
have no status to speak of only metadata is sent.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Never

from mesh_placement.decide.gates import Need
from mesh_placement.decide.inventory import Ref
from mesh_placement.decide.ranks import NAMESPACES_AND_CRDS, WORKLOADS, rank_of_resource
from mesh_placement.deliver.hands import Hands, witness_resource
from mesh_placement.deliver.seen import Seen
from mesh_placement.names import LABEL_DISTRIBUTED
from mesh_runtime.kube import Informer, Resource

_WITH_STATUS: Final = {("", "persistentvolumeclaims"), ("", "services"), ("", "persistentvolumes")}

Changed = Callable[[Ref, Seen | None, Seen | None], None]


class Watches:
    """Started and stopped as kinds and gates come and go; all end with `group`."""

    def __init__(self, hands: Hands, *, group: asyncio.TaskGroup, user: str, changed: Changed) -> None:
        self._hands = hands
        self._group = group
        self._user = user
        self._changed = changed
        self._kinds: dict[tuple[str, str], asyncio.Task[Never]] = {}
        self._gates: dict[Need, tuple[asyncio.Task[Never], set[str]]] = {}

    def watch(self, resource: Resource[Seen]) -> None:
        """Tell of every object of ours of that kind, from now on."""
        key = resource.group, resource.plural
        if key in self._kinds:
            return
        client = self._hands.as_user(self._user)
        if not _has_status(*key):
            client = client.lists_metadata()
        informer = Informer(client, resource, labels=LABEL_DISTRIBUTED)
        informer.follow(lambda at, old, new: self._changed(Ref(*key, *at), old, new))
        self._kinds[key] = self._group.create_task(informer.run())

    def forget(self, resource: Resource[Seen]) -> None:
        """The kind is not served any more: it is not asked for again and again."""
        task = self._kinds.pop((resource.group, resource.plural), None)
        if task is not None:
            task.cancel()

    def wait(self, unit: str, need: Need, *, user: str, look: Callable[[str], None]) -> None:
        """Call `look` with `unit` whenever the needed object changes, until `unit` is `through`."""
        if need in self._gates:
            self._gates[need][1].add(unit)
            return
        waiting = {unit}

        def changed() -> None:
            for one in sorted(waiting):
                look(one)

        informer = Informer(
            self._hands.as_user(user),
            witness_resource(need),
            namespace=need.namespace,
            fields=f"metadata.name={need.name}",
        )
        informer.on_change(changed)
        self._gates[need] = self._group.create_task(informer.run()), waiting

    def through(self, unit: str, *, but: frozenset[Need] = frozenset()) -> None:
        """`unit` waits for nothing but these."""
        for need, (task, waiting) in tuple(self._gates.items()):
            if need in but:
                continue
            waiting.discard(unit)
            if not waiting:
                task.cancel()
                del self._gates[need]


def _has_status(group: str, plural: str) -> bool:
    rank = rank_of_resource(group, plural)
    return rank in (NAMESPACES_AND_CRDS, WORKLOADS) or (group, plural) in _WITH_STATUS

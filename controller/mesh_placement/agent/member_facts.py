"""What the member is, kept current: Nodes, ClusterProperties, the mesh's gateway, and what it serves."""

import asyncio
from collections.abc import Callable

from mesh_core.names import GATEWAY, LABEL_MANAGED_BY, SYSTEM_NAMESPACE
from mesh_core.objects import Node
from mesh_placement.agent.kinds import MemberKinds, OptionalCache, all_synced
from mesh_placement.agent.member_api import MemberApi
from mesh_placement.decide.agent_report import (
    MemberFacts,
    agent_report,
    node_facts,
    wanted_properties,
)
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.names import AGENT_MANAGER
from mesh_placement.objects import AgentReport
from mesh_runtime.kube import CLUSTER_PROPERTIES, NODES, SERVICES, Informer, KubeClient
from mesh_runtime.kube.errors import ApiError

VERSION = "0.1.0"


class Member:
    """`report` says what there is; `changed` is called when that may be something else."""

    def __init__(
        self,
        member: KubeClient,
        *,
        settings: HubSettings,
        kinds: MemberKinds,
        changed: Callable[[], None],
    ) -> None:
        self._member = member
        self._settings = settings
        self._changed = changed
        self._api = MemberApi(member, kinds=kinds, changed=changed)
        self._nodes = Informer(member, NODES)
        self._gateway = Informer(
            member, SERVICES, namespace=SYSTEM_NAMESPACE, fields=f"metadata.name={GATEWAY}"
        )
        self._properties = OptionalCache(member, CLUSTER_PROPERTIES, kinds=kinds, changed=self._told)
        self._kinds = kinds
        self._look_again = asyncio.Event()
        self._nodes.follow(self._follow_node)
        self._gateway.on_change(changed)

    def report(self) -> AgentReport | None:
        """What there is; None while that is not known as a whole."""
        caches = (self._nodes, self._gateway, self._properties)
        api = self._api.facts
        if api is None or not all(one.synced.is_set() for one in caches):
            return None
        facts = MemberFacts(
            api=api,
            nodes=tuple(self._nodes.values()),
            gateway=self._gateway.get(GATEWAY, namespace=SYSTEM_NAMESPACE),
            properties=self._properties.values(),
        )
        return agent_report(facts, settings=self._settings, version=VERSION)

    async def run(self) -> None:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._api.run())
            group.create_task(self._nodes.run())
            group.create_task(self._gateway.run())
            group.create_task(self._properties.run())
            group.create_task(self._name_the_cluster())
            await all_synced((self._nodes.synced, self._gateway.synced, self._properties.synced))
            self._changed()

    def _follow_node(self, _key: tuple[str, str], old: Node | None, new: Node | None) -> None:
        """Most that a node says of itself is of no interest here, and it says it every few minutes."""
        if old is None or new is None or node_facts(old) != node_facts(new):
            self._changed()

    def _told(self) -> None:
        self._look_again.set()
        self._changed()

    async def _name_the_cluster(self) -> None:
        """The well-known ClusterProperties, where nobody has written them."""
        settings = self._settings
        while True:
            await self._properties.synced.wait()
            if self._kinds.has(CLUSTER_PROPERTIES):
                wanted = wanted_properties(
                    self._properties.values(), cluster=settings.cluster, cluster_set=settings.cluster_set
                )
                for name, value in wanted:
                    await self._write(name, value)
            await self._look_again.wait()
            self._look_again.clear()

    async def _write(self, name: str, value: str) -> None:
        meta = {"name": name, "labels": {LABEL_MANAGED_BY: AGENT_MANAGER}}
        body = {"metadata": meta, "spec": {"value": value}}
        try:
            await self._member.create(CLUSTER_PROPERTIES, body, field_manager=AGENT_MANAGER)
        except ApiError as error:
            if not error.is_conflict:
                raise

"""The provider `local`: clusters on this machine (`mesh_local`), a set in a folder of its own for each claim.

1. The folder is called as the claim's UID, so what one claim destroys is never another's.
2. There are never more of them than this machine's owner said, whatever a hub orders.
3. Sets are made and destroyed by commands of their own (`meshctl local up`, `down`): what enters network
   namespaces forks, and ends its children by a signal, which a program that waits for that signal would take
   for its own.
4. Light clusters run no pods, so their agents run here, as their own ServiceAccounts, for as long as we do.
   Their nodes are Node objects with the room that was asked for, and nothing else.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Never

from mesh_cli.install.kustomize import render
from mesh_cli.install.manifests import apply_definitions
from mesh_cli.install.shipped import manifests_folder
from mesh_cli.local.paper_nodes import paper_nodes, write_paper_nodes
from mesh_cli.session import FIELD_MANAGER
from mesh_core.errors import MeshError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_local.layout import files_in
from mesh_local.set_state import read_state
from mesh_local.status import look
from mesh_placement.agent.agent import run_agent
from mesh_placement.agent.asker import token_for
from mesh_placement.names import AGENT, AGENT_SETTINGS
from mesh_placement.provide.provider import ProviderFault, Standing, Wish
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    CONFIG_MAPS,
    NAMESPACES,
    SECRETS,
    Informer,
    KubeClient,
    connect,
    connect_to,
    kubeconfig_of,
    read_login,
)

_CLUSTER: Final = "own"
"""Name of the cluster inside its set; the hub calls it as the claim says."""
_UID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PAUSE: Final = 1.0
"""Seconds between two looks whether the hub has dialled in."""
_TOKEN_LIFE: Final = 7 * 24 * 3600
_KUBE_ROOT_CA: Final = "kube-root-ca.crt"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the sets lie, what they are, and how many there may be."""

    folder: Path
    light: bool
    most: int


class LocalProvider:
    """Made by `local_provider`."""

    name = "local"

    def __init__(self, settings: Settings, *, agents: asyncio.TaskGroup) -> None:
        self._settings = settings
        self._group = agents
        self._agents: dict[str, asyncio.Task[None]] = {}

    async def status(self, wish: Wish) -> Standing | None:
        """The set of that claim, if it is whole; a light one's agent runs from then on."""
        folder = self._folder(wish)
        found = await look(folder)
        if found is None or not found.whole:
            return None
        async with connect(kubeconfig=found.kubeconfig, context=_CLUSTER) as member:
            uid = (await member.get(NAMESPACES, "kube-system")).metadata.uid
            nodes = len(await paper_nodes(member)) if self._settings.light else _nodes_of(folder)
        login = read_login(kubeconfig=found.kubeconfig, context=_CLUSTER)
        self._tend(wish)
        return Standing(
            kubeconfig=kubeconfig_of(login, name=wish.cluster),
            uid=uid,
            nodes=nodes,
        )

    async def create(self, wish: Wish) -> None:
        """Law 2, then `meshctl local up`; the cluster has the properties that were wanted."""
        folder = self._folder(wish)
        there = [one for one in self._sets() if one != folder]
        if len(there) >= self._settings.most:
            raise ProviderFault(
                f"this machine has {len(there)} clusters for claims and takes no more",
                next_step="start meshctl local provide with a greater --most, or delete a ClusterClaim",
            )
        kind = ("--light",) if self._settings.light else ("--nodes", str(wish.nodes))
        await _meshctl("up", "--clusters", _CLUSTER, *kind, "--dir", str(folder))
        if not self._settings.light:
            await _load(folder)
        async with connect(kubeconfig=files_in(folder).kubeconfig, context=_CLUSTER) as member:
            await _describe(member, wish)
            if self._settings.light:
                await _publish_ca(member, folder=folder)
                await write_paper_nodes(member, wish)

    async def scale(self, wish: Wish) -> None:
        """`meshctl local scale`, which evicts pods before it takes a node away."""
        folder = self._folder(wish)
        if self._settings.light:
            async with connect(kubeconfig=files_in(folder).kubeconfig, context=_CLUSTER) as member:
                await write_paper_nodes(member, wish)
            return
        await _meshctl("scale", "--nodes", str(wish.nodes), "--dir", str(folder))
        await _load(folder)

    async def delete(self, wish: Wish) -> None:
        """`meshctl local down`, and the folder goes."""
        agent = self._agents.pop(wish.uid, None)
        if agent is not None:
            agent.cancel()
            await asyncio.wait([agent])
        folder = self._folder(wish)
        await _meshctl("down", "--dir", str(folder))
        if folder.is_dir():
            folder.rmdir()

    def stop_agents(self) -> None:
        """Clusters go on without their agents, as when an agent's pod is gone."""
        for agent in self._agents.values():
            agent.cancel()

    def _folder(self, wish: Wish) -> Path:
        """Raises ProviderFault: a hub's word becomes a path here."""
        if _UID.fullmatch(wish.uid) is None:
            raise ProviderFault(
                f"the UID of ClusterClaim {wish.cluster} is none",
                next_step="look whether this is the hub that you meant",
            )
        return self._settings.folder / wish.uid

    def _sets(self) -> list[Path]:
        folder = self._settings.folder
        return sorted(one for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []

    def _tend(self, wish: Wish) -> None:
        """Law 4."""
        running = self._agents.get(wish.uid)
        if self._settings.light and (running is None or running.done()):
            files = files_in(self._folder(wish))
            ca = files.folder / _CLUSTER / "pki" / "ca.crt"
            self._agents[wish.uid] = self._group.create_task(_agent(files.kubeconfig, ca=ca))


@asynccontextmanager
async def local_provider(settings: Settings) -> AsyncIterator[LocalProvider]:
    """The provider; agents that it runs end with the block, clusters do not."""
    async with asyncio.TaskGroup() as agents:
        holder = agents.create_task(asyncio.Event().wait())
        provider = LocalProvider(settings, agents=agents)
        try:
            yield provider
        finally:
            holder.cancel()
            provider.stop_agents()


async def _meshctl(*words: str) -> str:
    """Law 3: what the command printed; raises ProviderFault with its last word."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mesh_cli", "local", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, said = await program.communicate()
    except asyncio.CancelledError:
        program.terminate()
        await program.wait()
        raise
    if program.returncode:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise ProviderFault(
            f"meshctl local {words[0]} ended with status {program.returncode}: {last}",
            next_step="see to what it says",
        )
    return output.decode()


async def _load(folder: Path) -> None:
    """Our image in every node; whoever has it already takes it again."""
    _, tar = (await _meshctl("image", "program")).split()
    await _meshctl("load", tar, "--dir", str(folder))


def _nodes_of(folder: Path) -> int:
    state = read_state(files_in(folder))
    return 1 if state is None else state.request.nodes


async def _describe(member: KubeClient, wish: Wish) -> None:
    """The cluster says of itself what the claim wanted."""
    await apply_definitions(member, render(manifests_folder() / "crds" / "about"))
    for name, value in sorted(wish.properties.items()):
        body = {"metadata": {"name": name}, "spec": {"value": value}}
        await member.apply(CLUSTER_PROPERTIES, body, field_manager=FIELD_MANAGER)


async def _publish_ca(member: KubeClient, *, folder: Path) -> None:
    """What kube-controller-manager writes into each namespace elsewhere; the agent reads it."""
    await member.apply(NAMESPACES, {"metadata": {"name": SYSTEM_NAMESPACE}}, field_manager=FIELD_MANAGER)
    data = {"ca.crt": (folder / _CLUSTER / "pki" / "ca.crt").read_text()}
    meta = {"name": _KUBE_ROOT_CA, "namespace": SYSTEM_NAMESPACE}
    await member.apply(CONFIG_MAPS, {"metadata": meta, "data": data}, field_manager=FIELD_MANAGER)


async def _agent(kubeconfig: Path, *, ca: Path) -> None:
    """The agent of a light cluster, begun when the hub has dialled in, and begun again when it fails."""
    while True:
        try:
            async with connect(kubeconfig=kubeconfig, context=_CLUSTER) as admin:
                await _until_told(admin)
                await _run_agent(admin, ca=ca.read_text())
        except* (MeshError, OSError):
            await asyncio.sleep(_PAUSE)


async def _until_told(admin: KubeClient) -> None:
    told = asyncio.Event()
    settings = Informer(admin, SECRETS, namespace=SYSTEM_NAMESPACE, fields=f"metadata.name={AGENT_SETTINGS}")
    settings.follow(lambda _key, _old, new: told.set() if new is not None else None)
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(settings.run())
        await told.wait()
        watch.cancel()


async def _run_agent(admin: KubeClient, *, ca: str) -> Never:
    made = await token_for(admin, AGENT, namespace=SYSTEM_NAMESPACE, seconds=_TOKEN_LIFE)
    async with connect_to(admin.server, ca=ca, token=lambda: made.text) as own:
        await run_agent(own)
        raise AssertionError("an agent ended by itself")

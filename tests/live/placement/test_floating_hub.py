"""Three API servers, of which two may be the hub: it dies, or is cut off, and the other one goes on.

Each program is its own ServiceAccount with no right more; between the candidates are relays that break.
Nothing runs there. The third cluster is a witness, and a member.
"""

import base64
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from live.api_server import api_server_of
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Meta, Secret
from mesh_core.plan import Json
from mesh_fakes.bed import Bed, started
from mesh_fakes.delivery import config_map, namespace
from mesh_fakes.floating_scene import decided
from mesh_fakes.light_fleet import Program, as_account, ca_of
from mesh_fakes.light_members import found_at, give_node, uid_of
from mesh_fakes.relay import Relay, relay
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until, until_found
from mesh_placement.agent.agent import run_agent
from mesh_placement.agent.asker import token_for
from mesh_placement.decide.bootstrap_token import BootstrapToken, token_secret
from mesh_placement.decide.floating_settings import FloatingSettings, read_floating
from mesh_placement.hub.floating.hub import FloatingHub, floating_hub
from mesh_placement.hub.floating.newest import newest_copy
from mesh_placement.hub.floating.seal import KEY_BYTES, Seal
from mesh_placement.hub.floating.store import CopyStore
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import (
    AGENT,
    AGENT_SETTINGS,
    FLOATING,
    HUB,
    HUB_INFO,
    WITNESS,
    WITNESS_NAMESPACE,
)
from mesh_placement.resources import CLUSTER_REGISTRATIONS, CLUSTER_SETS, PLACEMENTS, WORKS
from mesh_placement.schedule.replay import digest
from mesh_runtime.kube import CONFIG_MAPS, SECRETS, KubeClient

pytestmark = pytest.mark.asyncio

MANIFESTS = Path(__file__).parents[3] / "manifests"
CANDIDATES = ("east", "west")
MEMBER = "south"
EVERY = (*CANDIDATES, MEMBER)
KEY = bytes(range(KEY_BYTES))
SETTINGS = "/api/v1/namespaces/shop/configmaps/settings"
LIMIT = 90.0


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """`east` and `west` as candidates, `south` as witness and member."""
    with started(tmp_path_factory.mktemp("floating"), "--clusters", ",".join(EVERY), "--light") as made:
        for cluster in EVERY:
            for kinds in ("", "placement", "placement-standard"):
                made.kubectl(cluster, "apply", "-k", str(MANIFESTS / "crds" / kinds))
            made.kubectl(cluster, "wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
        for cluster in CANDIDATES:
            made.kubectl(cluster, "apply", "-k", str(MANIFESTS / "overlays" / "hub"))
            made.kubectl(cluster, "apply", "-k", str(MANIFESTS / "placement" / "floating"))
        made.kubectl(MEMBER, "apply", "-k", str(MANIFESTS / "overlays" / "member"))
        made.kubectl(MEMBER, "apply", "-k", str(MANIFESTS / "placement" / "witness"))
        yield made


@dataclass(slots=True)
class Candidates:
    """The programs by cluster, an administrator of each, and the lines from each candidate to the others."""

    admins: dict[str, KubeClient]
    hubs: dict[str, FloatingHub]
    lines: dict[str, list[Relay]]

    async def leader(self, *, beside: str = "") -> str:
        """Who leads, as soon as that is another one than `beside`."""

        def is_led() -> bool:
            assert sum(one.is_leading for one in self.hubs.values()) <= 1
            return any(one.is_leading for name, one in self.hubs.items() if name != beside)

        await until(is_led, limit=LIMIT)
        return next(name for name, one in self.hubs.items() if one.is_leading)

    def other(self, name: str) -> str:
        return next(one for one in CANDIDATES if one != name)

    async def copy(self, *, seen_from: str) -> list[Json]:
        """What is in the newest copy there."""
        found = await newest_copy([CopyStore(seen_from, self.admins[seen_from], Seal(KEY))], held=[seen_from])
        return found[1] if found is not None else []

    async def until_copied(self, name: str, *, of: str) -> None:
        """Return when the Placement is in the copy of the third cluster as the leader has it."""

        async def is_copied() -> bool:
            meta, status = await raw_placement(self.admins[of], name)
            return any(
                one["kind"] == "Placement"
                and one["metadata"]["name"] == name
                and one["metadata"]["generation"] == meta["generation"]
                and {**one["status"], "origin": None} == {**status, "origin": None}
                for one in await self.copy(seen_from=MEMBER)
            )

        await until_found(is_copied, limit=LIMIT)


async def raw_placement(hub: KubeClient, name: str) -> tuple[Json, Json]:
    raw = yaml.safe_load(await hub.request("GET", PLACEMENTS.path(name, namespace="default")))
    return raw["metadata"], raw.get("status", {})


@asynccontextmanager
async def candidates(bed: Bed) -> AsyncIterator[Candidates]:
    """Both run, each with lines of its own to the others."""
    async with AsyncExitStack() as stack:
        admins = {name: await stack.enter_async_context(bed.client(name)) for name in EVERY}
        hubs: dict[str, FloatingHub] = {}
        lines: dict[str, list[Relay]] = {}
        for name in CANDIDATES:
            lines[name], settings = await settings_of(bed, name, admins=admins, stack=stack)
            account = await stack.enter_async_context(as_account(bed, name, HUB))
            made = floating_hub(account, settings, name="pod", scheduling=installed_scheduling())
            hubs[name] = await stack.enter_async_context(made)
        await stack.enter_async_context(under_way(*(one.run() for one in hubs.values())))
        yield Candidates(admins, hubs, lines)


async def settings_of(
    bed: Bed, own: str, *, admins: dict[str, KubeClient], stack: AsyncExitStack
) -> tuple[list[Relay], FloatingSettings]:
    """By way of the Secret, as an administrator writes it."""
    data, lines = {"self": own.encode(), "key": KEY}, []
    for other in EVERY:
        if other == own:
            continue
        where = urlsplit(admins[other].server)
        assert where.hostname is not None and where.port is not None
        line = await stack.enter_async_context(relay((where.hostname, where.port)))
        lines.append(line)
        token = await token_for(admins[other], WITNESS, namespace=WITNESS_NAMESPACE, seconds=3600)
        data[f"witness.{other}"] = kubeconfig(
            f"https://127.0.0.1:{line.port}", ca=ca_of(bed, other), token=token.text
        )
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    return lines, read_floating(Secret(metadata=Meta(name=FLOATING), data=encoded))


def kubeconfig(server: str, *, ca: str, token: str) -> bytes:
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca.encode()).decode()}
    config = {
        "current-context": "there",
        "clusters": [{"name": "there", "cluster": cluster}],
        "users": [{"name": "we", "user": {"token": token}}],
        "contexts": [{"name": "there", "context": {"cluster": "there", "user": "we"}}],
    }
    return yaml.safe_dump(config).encode()


async def told(bed: Bed, found: Candidates, *, hub: str, token: BootstrapToken) -> None:
    """The member is registered with the hub, as `meshctl token create` and `meshctl register` do it."""
    admin, member = found.admins[hub], found.admins[MEMBER]
    info = {"server": admin.server, "ca.crt": ca_of(bed, hub)}
    await admin.apply(CLUSTER_SETS, {"metadata": {"name": "prod"}, "spec": {}}, field_manager="test")
    place = {"name": HUB_INFO, "namespace": "kube-public"}
    await admin.apply(CONFIG_MAPS, {"metadata": place, "data": info}, field_manager="test")
    expires = datetime.now(UTC) + timedelta(hours=1)
    await admin.create(SECRETS, token_secret(token, cluster_set="prod", expires=expires, auto_accept=True))
    root = {"name": "kube-root-ca.crt", "namespace": SYSTEM_NAMESPACE}
    await member.apply(
        CONFIG_MAPS, {"metadata": root, "data": {"ca.crt": ca_of(bed, MEMBER)}}, field_manager="test"
    )
    said = {**info, "cluster-id": MEMBER, "cluster-set": "prod", "driver": "token", "token": token.text}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in said.items()}
    place = {"name": AGENT_SETTINGS, "namespace": SYSTEM_NAMESPACE}
    await member.apply(SECRETS, {"metadata": place, "data": data}, field_manager="test")


async def until_ready(hub: KubeClient) -> None:
    async def is_ready() -> bool:
        found = await hub.find(CLUSTER_REGISTRATIONS, MEMBER)
        return found is not None and found.status.phase == "Ready"

    await until_found(is_ready, limit=LIMIT)


async def until_applied(hub: KubeClient, name: str) -> None:
    async def is_applied() -> bool:
        status = (await hub.get(PLACEMENTS, name, namespace="default")).status
        return any((one.type, one.status) == ("Applied", "True") for one in status.conditions)

    await until_found(is_applied, limit=LIMIT)


def placement(name: str, *, data: str) -> Json:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterSets": ["prod"], "manifests": [namespace(), config_map("settings", a=data)]},
    }


@contextmanager
def dead(bed: Bed, cluster: str) -> Iterator[None]:
    """Its API server answers nothing while the block runs."""
    server = api_server_of(bed, cluster=cluster)
    os.kill(server, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server, signal.SIGCONT)


async def test_the_hub_dies_and_the_next_one_decides_the_same_and_members_make_nothing_anew(bed: Bed) -> None:
    async with candidates(bed) as found, as_account(bed, MEMBER, AGENT) as account:
        first = await found.leader()
        hub, member = found.admins[first], found.admins[MEMBER]
        await told(bed, found, hub=first, token=BootstrapToken(id="first1", secret="0123456789abcdef"))
        await give_node(member)
        agent = Program(lambda: run_agent(account))
        agent.start()
        try:
            await until_ready(hub)
            # Who takes over hears nothing of the member until it is told of the new hub: on a busy machine
            # that is later than two renewals of fifteen seconds, and it would be suspected by then.
            rarely = {"spec": {"lease": {"durationSeconds": 60}}}
            await hub.merge_patch(CLUSTER_REGISTRATIONS, MEMBER, rarely)
            await hub.create(PLACEMENTS, placement("app", data="1"))
            await until_applied(hub, "app")
            made = await found_at(member, SETTINGS)
            assert made is not None
            await found.until_copied("app", of=first)
            now, scheduling = datetime.now(UTC), installed_scheduling()
            before = await decided(hub, scheduling=scheduling, now=now)
            works = await revisions(hub)
            with dead(bed, first):
                second = await found.leader(beside=first)
                heir = found.admins[second]
                await until_found(lambda: is_there(heir, "app"), limit=LIMIT)
                after = await decided(heir, scheduling=scheduling, now=now)
                assert digest(after) == digest(before), f"{after}, not {before}"
                token = BootstrapToken(id="second", secret="0123456789abcdef")
                await told(bed, found, hub=second, token=token)
                await until_ready(heir)
                assert await revisions(heir) == works
                await heir.apply(PLACEMENTS, placement("app", data="2"), field_manager="test")

                async def is_new() -> bool:
                    seen = await found_at(member, SETTINGS)
                    assert seen is not None, "what was brought is never taken away"
                    assert uid_of(seen) == uid_of(made)
                    return bool(seen["data"] == {"a": "2"})

                await until_found(is_new, limit=LIMIT)
                await found.until_copied("app", of=second)
            # It is back, and nobody takes anything from who leads.
            await until_found(lambda: answers(hub), limit=LIMIT)
            assert await found.leader() == second
            assert not found.hubs[first].is_leading
        finally:
            await agent.stop()


async def is_there(hub: KubeClient, name: str) -> bool:
    found = await hub.find(PLACEMENTS, name, namespace="default")
    return found is not None and bool(found.status.revision)


async def answers(kube: KubeClient) -> bool:
    try:
        await kube.ready()
    except Exception:
        return False
    return True


async def revisions(hub: KubeClient) -> dict[str, str]:
    """Digests of what members are given."""
    return {
        f"{one.metadata.namespace}/{one.metadata.name}": one.metadata.annotations.get(
            "placement.meshctl.dev/digest", ""
        )
        for one in (await hub.list(WORKS)).items
    }


async def test_a_hub_that_is_cut_off_from_most_witnesses_stops_writing_before_another_one_leads(
    bed: Bed,
) -> None:
    async with candidates(bed) as found:
        first = await found.leader()
        second = found.other(first)
        left, right = found.admins[first], found.admins[second]
        await left.apply(CLUSTER_SETS, {"metadata": {"name": "prod"}, "spec": {}}, field_manager="test")
        await left.create(PLACEMENTS, placement("kept", data="1"))
        await left.create(PLACEMENTS, placement("dropped", data="1"))
        for name in ("kept", "dropped"):
            await until_decided(left, name)
            await found.until_copied(name, of=first)
        for line in found.lines[first]:
            line.hold()
        assert await found.leader(beside=first) == second
        assert not found.hubs[first].is_leading
        # Each is asked for something: who is in the minority does nothing about it.
        await left.create(PLACEMENTS, placement("minority", data="1"))
        await right.create(PLACEMENTS, placement("majority", data="1"))
        await until_decided(right, "majority")
        await right.delete(PLACEMENTS, "dropped", namespace="default")

        async def is_dropped() -> bool:
            return await right.find(PLACEMENTS, "dropped", namespace="default") is None

        await until_found(is_dropped, limit=LIMIT)
        await found.until_copied("majority", of=second)
        meta, status = await raw_placement(left, "minority")
        assert (meta.get("finalizers"), status) == (None, {})
        # It comes back, and leads again once the other one is cut off: it has what was decided meanwhile.
        for line in found.lines[first]:
            line.heal()
        for line in found.lines[second]:
            line.hold()
        assert await found.leader(beside=second) == first
        await until_found(lambda: is_named(left, "majority"), limit=LIMIT)
        assert await left.find(PLACEMENTS, "dropped", namespace="default") is None
        assert await left.find(PLACEMENTS, "kept", namespace="default") is not None
        # What somebody wrote there meanwhile is decided now.
        await until_decided(left, "minority")


async def is_named(hub: KubeClient, name: str) -> bool:
    return await hub.find(PLACEMENTS, name, namespace="default") is not None


async def until_decided(hub: KubeClient, name: str) -> None:
    async def is_decided() -> bool:
        found = await hub.get(PLACEMENTS, name, namespace="default")
        return any(one.type == "Scheduled" for one in found.status.conditions)

    await until_found(is_decided, limit=LIMIT)

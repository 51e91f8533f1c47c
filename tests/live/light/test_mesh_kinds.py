"""Our kinds on a real API server: what we write is taken as it is, and what nobody may write is not."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from mesh_controller.act import Writer
from mesh_core.admission import admit
from mesh_core.objects import MeshPeer
from mesh_core.objects.mesh import PeerTrust
from mesh_core.path_report import Finding, Tunnel, plan_report
from mesh_core.peer_identity import plan_clash, plan_end_of_clash
from mesh_core.peer_status import Link, LinkState, Ours, plan_peer_status
from mesh_core.peer_view import Absence, Wanted
from mesh_core.peer_wire import record_bytes
from mesh_core.record import ExportRecord, RecordPort, Shard, ShardEndpoint, ShardPort
from mesh_core.record_plan import Imported, plan_imported
from mesh_core.record_signature import Signature
from mesh_core.service_probe import LONGEST_RESULT, entry_of, manager_of
from mesh_fakes.bed import Bed
from mesh_fakes.exports import NOW
from mesh_runtime.kube import (
    IMPORTED_RECORDS,
    IMPORTED_SHARDS,
    MESH_PEERS,
    NAMESPACES,
    SERVICE_PROBES,
    ApiError,
    KubeClient,
)

pytestmark = pytest.mark.asyncio

SYSTEM = "meshctl-system"


# The longest of everything that the door lets in.
LABEL = "a" * 63
RECORD = ExportRecord(
    cluster=LABEL,
    namespace=LABEL,
    name=LABEL,
    created="2026-01-01T00:00:00Z",
    type="Headless",
    ports=tuple(
        RecordPort(port=n, name=f"p{n}", protocol="SCTP", app_protocol="x.io/y", ready=10_000)
        for n in range(1, 65)
    ),
    session_affinity="ClientIP",
    session_affinity_timeout=86_400,
    internal_traffic_policy="Local",
    traffic_distribution="PreferClose",
    exported_labels={f"x.io/{n}": "v" for n in range(64)},
    exported_annotations={"note": "ü" * 16_000},
    ip_families=("IPv6", "IPv4"),
    traffic="local-first",
    allow=tuple(f"c{n}" for n in range(256)),
    zone_scope="provider/region-1",
)
SHARD = Shard(
    cluster=LABEL,
    namespace=LABEL,
    name=LABEL,
    shard="0123456789",
    address_type="IPv6",
    ports=tuple(ShardPort(port=n, name=f"p{n}", protocol="UDP", app_protocol="y") for n in range(1, 65)),
    endpoints=tuple(
        ShardEndpoint(
            address=f"fd00:1234:5678:9abc:def0:1234:5678:{n:x}",
            hostname=LABEL,
            ready=False,
            serving=False,
            terminating=True,
            zone="Z" * 63,
        )
        for n in range(1, 101)
    ),
)


async def stored(kube: KubeClient, entry: ExportRecord | Shard) -> Sequence[Imported]:
    """All objects of the kind that holds `entry`."""
    if isinstance(entry, ExportRecord):
        return (await kube.list(IMPORTED_RECORDS, namespace=SYSTEM)).items
    return (await kube.list(IMPORTED_SHARDS, namespace=SYSTEM)).items


@pytest.mark.parametrize("entry", [RECORD, SHARD], ids=["record", "shard"])
async def test_what_the_door_lets_in_is_stored_changed_and_removed(
    light: Bed, entry: ExportRecord | Shard
) -> None:
    assert admit(bytes(record_bytes(entry)), cluster=LABEL) == entry
    signature = Signature("c2lnbmF0dXJl", "0" * 64)
    async with light.client("alone") as kube:
        writer = Writer(kube)
        await writer.write(plan_imported(None, standing=Wanted(entry, signature)))
        (seen,) = await stored(kube, entry)
        assert seen.spec == entry
        assert seen.metadata.annotations["meshctl.dev/signature"] == signature.text
        assert plan_imported(seen, standing=Wanted(entry)) == ()
        plain = msgspec.structs.replace(entry, ports=entry.ports[:1])
        await writer.write(plan_imported(seen, standing=Wanted(plain)))
        (seen,) = await stored(kube, entry)
        assert seen.spec == plain
        assert not seen.metadata.annotations
        await writer.write(plan_imported(seen, standing=Absence.GONE))
        assert not await stored(kube, entry)


WRONG: dict[str, dict[str, Any]] = {
    "another name": {"metadata": {"name": "a.b.c.0123456780"}},
    "another shard": {"spec": {"shard": "012"}},
    "101 endpoints": {"spec": {"endpoints": [{"address": "10.0.0.1"}] * 101}},
    "a name for an address": {"spec": {"endpoints": [{"address": "example.com"}]}},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
async def test_a_shard_that_none_can_be_is_refused_by_the_api_server(
    light: Bed, change: dict[str, Any]
) -> None:
    spec = {"cluster": "a", "namespace": "b", "name": "c", "shard": "0123456789", **change.get("spec", {})}
    meta = {"name": "a.b.c.0123456789", "namespace": SYSTEM, **change.get("metadata", {})}
    async with light.client("alone") as kube:
        with pytest.raises(ApiError, match="422"):
            await kube.create(IMPORTED_SHARDS, {"metadata": meta, "spec": spec})


TRUST = PeerTrust(generation=3, revision=2, root="0" * 64)


async def peer(kube: KubeClient) -> MeshPeer:
    return await kube.get(MESH_PEERS, "west")


async def test_a_mesh_peer_carries_the_conditions_of_two_managers(light: Bed) -> None:
    imports: dict[str, Any] = {
        "namespaces": ["demo"],
        "podCIDRs": ["10.0.0.0/8", "fd00::/64", "2001:DB8::/32"],
        "requireAllow": True,
        "limits": {"services": 1, "standIns": 2, "endpoints": 3, "weightShare": 4},
    }
    gateways = [{"host": "gw.example", "port": 15443}]
    spec = {"gateways": gateways, "network": "blue", "import": imports}
    state = LinkState(
        Link.SYNCED, exports=1, last_sync=NOW, refusals=("no",), network="", peers=(), uid="uid", trust=TRUST
    )
    ours = Ours("east", frozenset({"west"}))
    async with light.client("alone") as kube:
        await kube.get(NAMESPACES, SYSTEM)
        writer = Writer(kube)
        await kube.create(MESH_PEERS, {"metadata": {"name": "west"}, "spec": spec})
        seen = await peer(kube)
        assert msgspec.to_builtins(seen.spec.imports)["podCIDRs"] == tuple(imports["podCIDRs"])
        assert seen.spec.imports.limits.weight_share == 4
        await writer.write(plan_clash(seen, message="two", now=NOW))
        await writer.write(plan_peer_status(await peer(kube), state=state, ours=ours, now=NOW))
        seen = await peer(kube)
        kinds = {one.type: one.status for one in seen.status.conditions}
        assert kinds == {
            "Connected": "True",
            "RecordsAccepted": "False",
            "PartialMesh": "True",
            "NetworkAgreed": "False",
            "IdentityUsedTwice": "True",
        }
        assert seen.status.kube_system_uid == "uid"
        assert seen.status.trust == TRUST
        assert plan_peer_status(seen, state=state, ours=ours, now=NOW) == ()
        await writer.write(plan_end_of_clash(seen, now=NOW.replace(year=2027)))
        kinds = {one.type: one.status for one in (await peer(kube)).status.conditions}
        assert kinds["IdentityUsedTwice"] == "False"
        assert len(kinds) == 5
        await kube.delete(MESH_PEERS, "west")


@pytest.mark.parametrize(
    "spec",
    [
        {"network": "Blue"},
        {"network": "a.b"},
        {"import": {"podCIDRs": ["10.0.0.0"]}},
        {"import": {"podCIDRs": ["pods/8"]}},
        {"import": {"limits": {"weightShare": 0}}},
        {"import": {"limits": {"services": 10_001}}},
        {"import": {"namespaces": ["A"]}},
        {"dial": "sideways"},
        {"gateways": []},
        {"gateways": [], "dial": "outbound"},
        {"access": ["kubelet"]},
        {"access": "kube-apiserver"},
    ],
)
async def test_a_mesh_peer_that_cannot_be_is_refused_by_the_api_server(
    light: Bed, spec: dict[str, Any]
) -> None:
    gateways = [{"host": "gw.example", "port": 15443}]
    async with light.client("alone") as kube:
        with pytest.raises(ApiError, match="422"):
            await kube.create(MESH_PEERS, {"metadata": {"name": "w"}, "spec": {"gateways": gateways, **spec}})


async def test_a_peer_that_is_never_dialled_needs_no_gateway_and_a_gateway_tells_of_its_tunnels(
    light: Bed,
) -> None:
    async with light.client("alone") as kube:
        writer = Writer(kube)
        for spec in ({"dial": "inbound"}, {"dial": "inbound", "gateways": []}):
            seen = await kube.create(MESH_PEERS, {"metadata": {"name": "west"}, "spec": spec})
            assert seen.spec.dialled == ()
            ends = "2027-01-01T00:00:00Z"
            told = Finding(
                True, tunnel=Tunnel.UP, problem="a second one is refused", headroom=0, cert_not_after=ends
            )
            await writer.write(plan_report(seen, address="10.1.0.8", finding=told, now=NOW))
            (entry,) = (await peer(kube)).status.gateways
            assert (entry.tunnel, entry.problem) == ("Up", "a second one is refused")
            assert (entry.headroom_percent, entry.cert_not_after) == (0, ends)
            await kube.delete(MESH_PEERS, "west")


PROBE = {"service": "demo/hello", "cluster": "east", "until": "2026-05-01T12:00:00.5Z"}


async def test_each_gateway_has_its_own_entry_in_a_service_probe_which_asks_the_same_for_ever(
    light: Bed,
) -> None:
    async with light.client("alone") as kube:
        made = await kube.create(
            SERVICE_PROBES, {"metadata": {"name": "probe-kept", "namespace": SYSTEM}, "spec": PROBE}
        )
        try:
            for gateway, result in (("10.0.0.1", "OK"), ("fd00::1", "x" * 600), ("10.0.0.1", "NoEndpoint")):
                body = entry_of(made, gateway=gateway, result=result, now=NOW)
                await kube.apply(
                    SERVICE_PROBES, body, field_manager=manager_of(gateway), subresource="status"
                )
            seen = await kube.get(SERVICE_PROBES, "probe-kept", namespace=SYSTEM)
            found = {one.gateway: one.result for one in seen.status.results}
            assert found == {"10.0.0.1": "NoEndpoint", "fd00::1": "x" * LONGEST_RESULT}
            for change in ({"service": "demo/other"}, {"cluster": "west"}, {"until": "soon"}):
                with pytest.raises(ApiError, match="422"):
                    await kube.merge_patch(SERVICE_PROBES, "probe-kept", {"spec": change}, namespace=SYSTEM)
            later = {"spec": {"until": "2026-05-01T13:00:00Z"}}
            await kube.merge_patch(SERVICE_PROBES, "probe-kept", later, namespace=SYSTEM)
        finally:
            await kube.delete(SERVICE_PROBES, "probe-kept", namespace=SYSTEM)


@pytest.mark.parametrize(
    "change",
    [{"service": "hello"}, {"service": "a/b/c"}, {"cluster": "a.b"}, {"cluster": ""}, {"until": "tomorrow"}],
    ids=str,
)
async def test_a_service_probe_that_asks_for_nothing_is_refused_by_the_api_server(
    light: Bed, change: dict[str, str]
) -> None:
    meta = {"name": "probe-wrong", "namespace": SYSTEM}
    async with light.client("alone") as kube:
        with pytest.raises(ApiError, match="422"):
            await kube.create(SERVICE_PROBES, {"metadata": meta, "spec": {**PROBE, **change}})

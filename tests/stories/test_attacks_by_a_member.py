"""A hostile member against two honest ones, attack after attack: nothing changes outside of its own imports.

Mallory's certificate is good; what she says is not. Before and after each attack all objects of west and east
are compared, whole and with their resourceVersions; what is excepted is hers: her imports, and the MeshPeer,
Lease and records that say what she said. After each attack the honest two still tell each other of a change.
"""

import json
from collections.abc import Sequence

import pytest

from mesh_core.identity import Component
from mesh_core.names import SYSTEM_NAMESPACE, shadow_service_name
from mesh_core.peer_wire import record_bytes
from mesh_fakes.honest_pair import GOOD, LIMITS, STEER, Attack, greeted, honest_pair, taken
from mesh_fakes.hostile_member import Json, Line, export, shard
from mesh_fakes.members import Member
from mesh_runtime.kube import IMPORTED_RECORDS, SERVICES
from mesh_runtime.record_signing import signer_of

pytestmark = pytest.mark.asyncio

NAMES = [
    *("Evil", "evil.", "evil\n", "evil\0", "ev il", "../evil", "evil/x", "-evil", "1evil", "e" * 64, ""),
    *("\u0435vil", "evil\u200b", "\uff45vil", "ev\u00edl", "evil' or 1=1", "e" * 60_000),
]
ADDRESSES = [
    *("127.0.0.1", "169.254.169.254", "0.0.0.0", "255.255.255.255", "224.0.0.1", "::1", "fe80::1"),
    *("fd00:ec2::254", "::ffff:10.9.0.1", "10.9.0.1/32", "010.9.0.1", "0x0a090001", "168361985"),
    *("west.example", "10.9.0.1\n", "10.9.0.1 "),
]
FOREIGN = [
    "10.2.0.1",
    "10.1.0.1",
    "10.1.0.8",
    "10.100.0.10",
    "10.96.0.1",
    "192.168.0.1",
    "8.8.8.8",
    "10.8.9.1",
]
"""Well-formed addresses: pods of others, our gateways, our Service addresses, nodes, the internet."""


def leave(line: Line) -> None:
    """What was said before is taken by then."""
    line.say({"type": "bye", "reason": "enough"})


def database(*addresses: str, **changes: object) -> Json:
    return shard(*addresses, name="evil-db", number=2, **changes)


# What no member may send, as changes of a list that was good: the stream goes on, and nothing of it is taken.
REFUSED: dict[str, list[Json]] = {
    "records in the name of others": [export("hello", cluster=c) for c in ("west", "east", "north", "")],
    "namespaces that belong to a cluster": [
        export(namespace=name) for name in ("kube-system", "kube-public", "default", "meshctl-system")
    ],
    "namespaces that were not agreed": [export("own", namespace="secret"), export(namespace="nowhere")],
    "names that are none": [export(name) for name in NAMES],
    "namespaces that are none": [export(namespace=name) for name in NAMES],
    "absurd counts": [
        export(ports=[{"name": "http", "port": 80, "ready": 10_001}]),
        export(ports=[{"name": f"p{n}", "port": n} for n in range(1, 66)]),
        export(exportedLabels={f"k{n}": "" for n in range(65)}),
        export(allow=["east"] * 300),
    ],
    "absurd sizes": [export(weather="x" * 66_000), export(exportedAnnotations={"note": "x" * 17_000})],
    "fields of the wrong kind": [
        *(export(ports={}), export(ports=[80]), export(created=1), export(type="ExternalName"), {}),
        *({**export(), "name": []}, export(namespace=None), export(exportedLabels=[]), export(allow={})),
    ],
    "times that are none": [
        export(created=text) for text in ("1970", "9999-99-99T00:00:00Z", "-1", "2027-01-01")
    ],
    "shards without a Service": [shard("10.9.0.1", name="evil-absent"), shard("10.9.0.1", name="hello")],
    "shards that are none": [
        database(*(f"10.9.1.{n}" for n in range(101))),
        database("10.9.0.1", shard="../../etc"),
        database("10.9.0.1", shard="0" * 300),
        database("10.9.0.1", ports=[{"port": n, "name": f"p{n}"} for n in range(1, 66)]),
    ],
    "hostnames that are none": [
        database(endpoints=[{"address": "10.9.0.1", "hostname": name}])
        for name in ("hello.demo", "h" * 64, "*", "_http", "h\n", "\u0435vil", "")
    ],
    "addresses that are nobody's": [database(address) for address in ADDRESSES],
}


async def test_what_no_member_may_export_is_not_taken_and_nothing_else_changes() -> None:
    async with honest_pair() as found:
        for what, records in REFUSED.items():

            async def attack(line: Line, said: list[Json] = records) -> None:
                await greeted(line)
                line.put(*said)

            await found.withstand(attack, what=what, stands=True)


async def foreign_addresses(line: Line) -> None:
    """West would reach them directly, east by stand-ins that lead to mallory's gateway."""
    await greeted(line)
    for number, address in enumerate(FOREIGN):
        line.put(shard(address, name="evil-db", number=10 + number))


async def drops_of_what_others_export(line: Line) -> None:
    await greeted(line)
    for namespace, name in (("demo", "hello"), ("secret", "own"), ("kube-system", "kube-dns"), ("", "")):
        line.drop(namespace, name)
        line.drop(namespace, name, shard="0" * 10)


async def an_empty_list(line: Line) -> None:
    """Whole, and of nothing: what others export is not hers to end."""
    line.greet()
    line.sync()
    await line.hear_until("ack")


async def labels_that_steer(line: Line) -> None:
    """Ruling 11: they would redirect whoever reads ServiceImports."""
    keys = [
        *("multicluster.kubernetes.io/derived-service", "meshctl.dev/allow", "kubernetes.io/service-name"),
        *("multicluster.kubernetes.io/source-cluster", "endpointslice.kubernetes.io/managed-by"),
        *("app.kubernetes.io/managed-by", "service.kubernetes.io/topology-mode", "gateway.x-k8s.io/x"),
    ]
    said = dict.fromkeys(keys, STEER)
    await greeted(line)
    line.put(export("evil", exportedLabels=said, exportedAnnotations=said))
    line.put(export("evil-db", type="Headless", exportedLabels=said, exportedAnnotations=said))


async def lies_about_who_is_linked(line: Line) -> None:
    await greeted(line)
    for peers in ([], ["west", "east"], [f"c{n}" for n in range(1024)], ["\n", "../east", "e" * 253]):
        line.say({"type": "mesh", "peers": peers})


async def messages_of_no_kind(line: Line) -> None:
    await greeted(line)
    for number in range(1000):
        line.say({"type": f"weather-{number}", "wind": [{}]}, {"type": "heartbeat"})


async def unsigned_records_of_one_who_signs(line: Line) -> None:
    line.greet(features=["shards", "signatures"])
    line.sync()
    await line.hear_until("ack")
    line.put(export("evil-x"), export("evil-y"))
    line.put(export("evil-x"), signature="bm8=")
    leave(line)


STANDING: dict[str, Attack] = {
    "addresses of others": foreign_addresses,
    "drops of what others export": drops_of_what_others_export,
    "an empty list": an_empty_list,
    "labels and annotations that steer": labels_that_steer,
    "lies about who is linked with whom": lies_about_who_is_linked,
    "messages of no kind": messages_of_no_kind,
}


async def test_what_is_well_formed_and_a_lie_stays_in_her_own_imports() -> None:
    async with honest_pair() as found:
        for what, attack in STANDING.items():
            await found.withstand(attack, what=what, stands=True)
        await found.withstand(unsigned_records_of_one_who_signs, what="no signatures", stands=False, may=())


async def many_services(line: Line) -> None:
    await greeted(line)
    line.put(*(export(f"evil-s{n}") for n in range(400)))
    leave(line)


async def many_ports(line: Line) -> None:
    await greeted(line)
    for number in range(10):
        line.put(
            export(f"evil-p{number}", ports=[{"name": f"p{n}", "port": n, "ready": 1} for n in range(1, 41)])
        )
    leave(line)


async def many_endpoints(line: Line) -> None:
    """In west they are addresses of a neighbour, in east each would take an address of our Services."""
    await greeted(line)
    for number in range(20):
        pods = [{"address": f"10.9.{number}.{n}", "hostname": f"db-{number}-{n}"} for n in range(100)]
        line.put(shard(name="evil-db", number=20 + number, endpoints=pods))
    leave(line)


async def names_that_never_come_again(line: Line) -> None:
    """Stand-ins stay for ten minutes after their endpoint went, and ports rest."""
    await greeted(line)
    for turn in range(30):
        pods = [{"address": f"10.9.0.{n}", "hostname": f"db-{turn}-{n}"} for n in range(5)]
        line.put(shard(name="evil-db", number=1, endpoints=pods), export(f"evil-t{turn}"))
        line.drop("demo", f"evil-t{turn}")
    leave(line)


async def a_type_that_flickers(line: Line) -> None:
    await greeted(line)
    for turn in range(60):
        line.put(export("evil-db", type="Headless" if turn % 2 else "ClusterSetIP"))
    leave(line)


async def endless_shards(line: Line) -> None:
    await greeted(line)
    for number in range(2000):
        line.put(shard(name="evil-db", number=100 + number))
    leave(line)


GREEDY: dict[str, Attack] = {
    "many Services": many_services,
    "many ports": many_ports,
    "many endpoints": many_endpoints,
    "names that never come again": names_that_never_come_again,
    "a type that flickers": a_type_that_flickers,
    "shards without end": endless_shards,
}


def has_room(member: Member) -> bool:
    """Whether somebody here can still make a Service."""
    member.service("evil-room", namespace="lab")
    return True


async def test_who_wants_everything_gets_no_more_than_its_limits_ruling_11() -> None:
    async with honest_pair() as found:
        for what, attack in GREEDY.items():
            await found.withstand(attack, what=what, stands=False, may=None)
            assert all(map(has_room, found.victims)), what
            if attack is many_services:
                assert {len(taken(one)) for one in found.victims} == {LIMITS["services"]}


async def test_a_record_of_another_member_shown_again_is_not_taken() -> None:
    """With that member's own good signature, as it lies in the victim's API; or its chain (ruling 13)."""
    async with honest_pair() as found:
        for victim, source in (found.victims, found.victims[::-1]):
            stored = victim.api.find(
                IMPORTED_RECORDS, f"{source.name}.demo.hello", namespace=SYSTEM_NAMESPACE
            )
            assert stored is not None
            signature = stored.metadata.annotations["meshctl.dev/signature"]
            record: Json = json.loads(bytes(record_bytes(stored.spec)))
            theirs = signer_of(found.west.clusterset.credentials(source.name, Component.CONTROLLER))

            async def replay(line: Line, said: Json = record, by: str = signature) -> None:
                line.greet(features=["shards", "signatures"])
                line.put(said, export("hello"), signature=by)
                line.sync()
                await line.hear_until("ack")
                leave(line)

            async def pose(line: Line, chain: Sequence[str] = theirs.chain) -> None:
                line.greet(features=["shards", "signatures"])
                line.say({"type": "signer", "chain": chain})

            for what, attack in (("its record", replay), ("its signer", pose)):
                await found.withstand(attack, what=f"{source.name}: {what}", stands=False, may=GOOD)


RIVALS: dict[str, Json] = {
    "other ports": export("hello", ports=[{"name": "http", "port": 81, "ready": 1}]),
    "the same port under another name": export("hello", ports=[{"name": "evil", "port": 80, "ready": 1}]),
    "another type": export("hello", type="Headless", ports=[]),
    "affinity": export("hello", sessionAffinity="ClientIP", sessionAffinityTimeout=86_400),
    "policies": export(
        "hello", internalTrafficPolicy="Local", trafficDistribution="PreferClose", traffic="local-first"
    ),
    "labels": export("hello", exportedLabels={"app": STEER}, exportedAnnotations={"note": STEER}),
    "nobody is allowed": export("hello", allow=[]),
    "every endpoint there is": export("hello", ports=[{"name": "http", "port": 80, "ready": 10_000}]),
}


async def test_a_younger_export_of_anothers_name_changes_nothing_of_what_the_others_said() -> None:
    """Sameness of names lets every member add to a name; the rest is the oldest export's."""
    async with honest_pair() as found:
        for what, rival in RIVALS.items():
            await found.still()
            before = [imported(one) for one in found.victims]
            async with found.visited():
                for line in found.lines.values():
                    await greeted(line)
                    line.put(rival)
                    await found.hears(line)
                await found.still()
                assert [imported(one) for one in found.victims] == before, what
                for victim in found.victims:
                    assert "demo/hello" in taken(victim), what
            await found.are_well()


def imported(member: Member) -> tuple[object, ...]:
    """What of demo/hello is not mallory's: the import as callers see it, its IPs, and the honest slices."""
    shadow = shadow_service_name(namespace="demo", name="hello")
    seen = member.imported()
    assert seen is not None
    slices = [piece for source in ("west", "east") for piece in member.slices(source)]
    places = [(piece.metadata.name, piece.ports, piece.endpoints) for piece in slices]
    service = member.api.find(SERVICES, shadow, namespace="demo")
    assert service is not None
    own = member.api.find(SERVICES, "hello", namespace="demo")
    return seen.spec, seen.metadata.annotations, places, service.spec, service.metadata, own

"""What may happen to an import in an `ImportScene`: deeds of peers, of our cluster, of people, of chance."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from hypothesis import strategies as st
from msgspec import structs

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.record import RecordPort, Shard, ShardEndpoint, ShardPort
from mesh_fakes.exports import endpoint, headless, record, shard
from mesh_fakes.import_scene import SHADOW, ImportScene
from mesh_runtime.kube import ENDPOINT_SLICES, SERVICE_IMPORTS, SERVICES

Deed = Callable[[ImportScene], None]

PORTS = (
    RecordPort(port=80, name="http", ready=2),
    RecordPort(port=80, name="http", ready=0),
    RecordPort(port=81, name="http", ready=9),
    RecordPort(port=90, name="admin", ready=1),
    RecordPort(port=53, name="dns", protocol="UDP", ready=1),
)


def exports(cluster: str, numbers: Sequence[int], **wishes: object) -> Deed:
    """A cluster exports demo/hello with some of `PORTS`; `wishes` are further fields of its record."""
    chosen = tuple({PORTS[number].name: PORTS[number] for number in numbers}.values())

    def deed(scene: ImportScene) -> None:
        make = headless if wishes.get("type") == "Headless" else record
        scene.records[cluster] = structs.replace(make(cluster, *chosen), **wishes)

    return deed


def unexports(cluster: str) -> Deed:
    def deed(scene: ImportScene) -> None:
        scene.records.pop(cluster, None)

    return deed


def tells(cluster: str, shards: Sequence[Shard]) -> Deed:
    """A peer tells of its endpoints; what it told before is no more."""

    def deed(scene: ImportScene) -> None:
        others = [told for told in scene.shards if told.cluster != cluster]
        scene.shards = others + list({told.shard: told for told in shards}.values())

    return deed


def share_our_network(clusters: frozenset[str]) -> Deed:
    def deed(scene: ImportScene) -> None:
        scene.neighbours = clusters

    return deed


def has_pods(number: int, ready: bool, zone: str | None) -> Deed:
    pods = [endpoint(f"10.2.{n // 200}.{n % 200 + 1}", ready=ready, zone=zone) for n in range(number)]
    return lambda scene: scene.has_pods(*pods)


def has_more_pods(number: int) -> Deed:
    pods = [endpoint(f"10.3.0.{n + 1}", hostname=f"pod-{n}") for n in range(number)]
    return lambda scene: scene.has_pods(*pods, name="hello-fghij", ports={"http": 8080, "admin": 9000})


def has_gateways(number: int) -> Deed:
    def deed(scene: ImportScene) -> None:
        scene.gateways = tuple(f"10.1.0.{n + 1}" for n in range(number))

    return deed


def waits(minutes: int) -> Deed:
    def deed(scene: ImportScene) -> None:
        scene.now += timedelta(minutes=minutes)

    return deed


def loses_import(scene: ImportScene) -> None:
    if scene.service_import is not None:
        scene.api.remove(SERVICE_IMPORTS, "hello", namespace="demo")


def loses_shadow(scene: ImportScene) -> None:
    if scene.shadow is not None:
        scene.api.remove(SERVICES, SHADOW, namespace="demo")


def loses_a_slice(number: int) -> Deed:
    def deed(scene: ImportScene) -> None:
        for piece in scene.slices[number : number + 1]:
            scene.api.remove(ENDPOINT_SLICES, piece.metadata.name, namespace=piece.metadata.namespace)

    return deed


def loses_a_stand_in(number: int) -> Deed:
    def deed(scene: ImportScene) -> None:
        for service in scene.stand_ins[number : number + 1]:
            scene.api.remove(SERVICES, service.metadata.name, namespace=SYSTEM_NAMESPACE)

    return deed


def is_tampered_with(scene: ImportScene) -> None:
    meta = {"namespace": "demo", "name": "hello"}
    if scene.service_import is not None:
        labels = {"stray": "label"}
        spec = {"sessionAffinity": "ClientIP", "ips": ["192.0.2.1"]}
        scene.api.put(SERVICE_IMPORTS, {"metadata": {**meta, "labels": labels}, "spec": spec})
    for piece in (*scene.slices[:1], *scene.slices[-1:]):
        meta = {"namespace": piece.metadata.namespace, "name": piece.metadata.name}
        scene.api.put(ENDPOINT_SLICES, {"metadata": meta, "endpoints": []})
    for service in scene.stand_ins[:1]:
        meta = {"namespace": SYSTEM_NAMESPACE, "name": service.metadata.name}
        scene.api.put(SERVICES, {"metadata": meta, "spec": {"ports": [{"name": "x", "port": 1}]}})


def namespace_vanishes(scene: ImportScene) -> None:
    scene.api.namespace("demo")
    scene.api.remove_namespace("demo")


def namespace_comes_back(scene: ImportScene) -> None:
    scene.api.namespace("demo")


def plan_is_cut_off(steps: int) -> Deed:
    def deed(scene: ImportScene) -> None:
        scene.write(scene.plan()[:steps])

    return deed


def pods_need(deed: Deed) -> Deed:
    """Pods run in namespaces."""

    def guarded(scene: ImportScene) -> None:
        namespace_comes_back(scene)
        deed(scene)

    return guarded


clusters = st.sampled_from(["east", "west", "north"])
peers = st.sampled_from(["west", "north"])
endpoints: st.SearchStrategy[ShardEndpoint] = st.builds(
    ShardEndpoint,
    address=st.integers(1, 6).map("10.9.0.{}".format),
    hostname=st.sampled_from([None, "db-0", "db-1"]),
    ready=st.booleans(),
    zone=st.sampled_from([None, "a"]),
)


def told_by(cluster: str) -> st.SearchStrategy[Shard]:
    """Shards of one cluster."""
    http, admin = ShardPort(port=8080, name="http"), ShardPort(port=9000, name="admin")
    return st.builds(
        lambda found, name, ports: shard(cluster, *found, name=name, ports=ports),
        st.lists(endpoints, min_size=1, max_size=3),
        st.sampled_from(["aaaaaaaaaa", "bbbbbbbbbb"]),
        st.sampled_from([(http,), (http, admin)]),
    )


deeds: st.SearchStrategy[Deed] = st.one_of(
    st.builds(
        exports,
        clusters,
        st.lists(st.integers(0, 4), min_size=1, max_size=2),
        created=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
        type=st.sampled_from(["ClusterSetIP", "ClusterSetIP", "Headless"]),
        traffic=st.sampled_from(["balanced", "balanced", "local-first"]),
        traffic_distribution=st.sampled_from([None, None, "PreferClose"]),
        allow=st.sampled_from([None, None, ("east",), ("south",)]),
    ),
    st.builds(unexports, clusters),
    peers.flatmap(lambda peer: st.builds(tells, st.just(peer), st.lists(told_by(peer), max_size=2))),
    st.builds(share_our_network, st.frozensets(peers)),
    st.builds(has_pods, st.sampled_from([0, 1, 3, 101]), st.booleans(), st.sampled_from([None, "a"])).map(
        pods_need
    ),
    st.builds(has_more_pods, st.integers(0, 2)).map(pods_need),
    st.builds(has_gateways, st.integers(0, 3)),
    st.builds(plan_is_cut_off, st.integers(0, 4)),
    st.builds(waits, st.sampled_from([1, 11])),
    st.builds(loses_a_slice, st.integers(0, 3)),
    st.builds(loses_a_stand_in, st.integers(0, 1)),
    st.sampled_from([loses_import, loses_shadow, is_tampered_with]),
    st.sampled_from([ImportScene.settle, ImportScene.settle, namespace_vanishes, namespace_comes_back]),
)

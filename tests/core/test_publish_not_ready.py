"""A Service that publishes endpoints that are not ready (`publishNotReadyAddresses`) does so across clusters.

The EndpointSlice controller writes such an endpoint as ready and not serving (discovery/v1), and KEP-1645
takes what slices say. So `ready` alone decides, from the exporter's slice to the importer's names.
"""

import pytest

from mesh_core.chunks import chunks_of, ready_by_port, shard_of
from mesh_core.objects import Endpoint, EndpointConditions, EndpointPort
from mesh_dns.endpoints import headless_entry
from mesh_dns.entry import Host
from mesh_fakes.exports import headless, source_slice
from mesh_fakes.import_scene import ImportScene, addresses, behind, listing

STARTING = EndpointConditions(ready=True, serving=False, terminating=False)
ENDING = EndpointConditions(ready=True, serving=False, terminating=True)
HIDDEN = EndpointConditions(ready=False, serving=False, terminating=False)
(CHUNK,) = chunks_of(
    source_slice(
        Endpoint(addresses=("10.9.0.1",), hostname="db-0", conditions=STARTING),
        Endpoint(addresses=("10.9.0.2",), hostname="db-1", conditions=ENDING),
        Endpoint(addresses=("10.9.0.3",), hostname="db-2", conditions=HIDDEN),
        ports=(EndpointPort(name="db", port=5432),),
    )
)
PUBLISHED = {"db-0", "db-1"}


def test_the_exporter_counts_and_tells_them_as_ready() -> None:
    assert ready_by_port([CHUNK]) == {"db": 2}
    told = shard_of(CHUNK, cluster="west", namespace="demo", name="hello")
    assert [(one.ready, one.serving) for one in told.endpoints] == [
        (True, False),
        (True, False),
        (False, False),
    ]


@pytest.mark.parametrize(
    "neighbours", [frozenset[str](), frozenset({"west"})], ids=["by gateway", "on one network"]
)
def test_a_peer_of_the_importer_has_their_names_and_leads_to_them(neighbours: frozenset[str]) -> None:
    scene = ImportScene(
        records={"west": headless("west")},
        shards=[shard_of(CHUNK, cluster="west", namespace="demo", name="hello")],
        neighbours=neighbours,
    )
    scene.settle()
    entry = headless_entry(listing(scene), namespace="demo", service="hello")
    assert entry is not None
    assert {host.label for host in entry.hosts} == PUBLISHED
    known = addresses(scene)
    assert {str(one) for one in entry.addresses} == {known[name] for name in PUBLISHED}
    assert {target.host for target in entry.targets} == {Host(name, "west") for name in PUBLISHED}
    if not neighbours:
        for name in PUBLISHED:
            assert all(one.is_ready for one in behind(scene, name).endpoints or ())


def test_the_exporter_itself_has_their_names_too() -> None:
    scene = ImportScene(records={"east": headless("east")})
    scene.has_pods(*CHUNK.endpoints, ports={"db": 5432})
    scene.settle()
    entry = headless_entry(listing(scene), namespace="demo", service="hello")
    assert entry is not None
    assert {host.label for host in entry.hosts} == PUBLISHED

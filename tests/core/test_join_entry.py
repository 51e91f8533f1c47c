"""What a gateway does with a connection that asks for the door for newcomers."""

import msgspec
import pytest

from mesh_core.identity import cluster_id, domain
from mesh_core.names import join_server_name
from mesh_core.objects import EndpointSlice
from mesh_fakes.route_objects import table_of
from mesh_gateway.client_hello import Hello
from mesh_gateway.entry import Close, PassThrough, entry_for
from mesh_gateway.route import Address, RouteTable
from mesh_gateway.sni import JoinTarget, NoTarget, read_server_name

DOMAIN = "clusterset.internal"
DOOR = Address("10.244.0.9", 15446)
TABLE = RouteTable(
    cluster=cluster_id("east"),
    domain=domain(DOMAIN),
    egress={},
    ingress={},
    controllers=(Address("10.244.0.9", 15445),),
    gateways={},
    contested=(),
    joins=(DOOR,),
)
NAME = join_server_name(cluster="east", domain=DOMAIN)


def hello(name: str, *protocols: bytes, versions: tuple[int, ...] = (0x0304,)) -> Hello:
    return Hello(server_name=name, protocols=protocols, versions=versions)


@pytest.mark.parametrize("name", ["join.east.clusterset.internal", "JOIN.East.clusterset.INTERNAL"])
def test_the_name_of_the_door_is_read_whole(name: str) -> None:
    assert read_server_name(name, domain=DOMAIN) == JoinTarget("east")


@pytest.mark.parametrize(
    "name",
    [
        *("join.clusterset.internal", "join.a.b.clusterset.internal", "join..clusterset.internal"),
        *("x.join.east.clusterset.internal", "join.east.clusterset.internal."),
    ],
)
def test_anything_else_is_no_door(name: str) -> None:
    assert isinstance(read_server_name(name, domain=DOMAIN), NoTarget)


def test_who_asks_for_our_door_is_passed_through_to_it_and_not_to_the_peers_port() -> None:
    found = entry_for(hello(NAME, b"meshctl-join/1"), table=TABLE)
    assert found == PassThrough(endpoints=(DOOR,), stranger=True)


@pytest.mark.parametrize(
    "asked",
    [
        hello(NAME),
        hello(NAME, b"meshctl-peer/1"),
        hello(NAME, b"meshctl-tunnel/1"),
        hello(NAME, b"meshctl-join/2"),
        hello(NAME, b"meshctl-join/1", versions=(0x0303,)),
        hello("join.west.clusterset.internal", b"meshctl-join/1"),
        hello("peer.east.clusterset.internal", b"meshctl-join/1"),
        hello("gateway.east.clusterset.internal", b"meshctl-join/1"),
    ],
)
def test_without_its_own_name_protocol_and_version_nobody_gets_there(asked: Hello) -> None:
    assert isinstance(entry_for(asked, table=TABLE), Close)


@pytest.mark.parametrize(("ready", "found"), [(True, PassThrough), (False, Close)])
def test_the_door_is_where_a_controller_is_ready(ready: bool, found: type[PassThrough | Close]) -> None:
    ports = [{"name": "peer", "port": 15445}, {"name": "join", "port": 15446}]
    controllers = msgspec.convert(
        {
            "metadata": {"namespace": "meshctl-system", "name": "meshctl-controller-x"},
            "addressType": "IPv4",
            "ports": [{**port, "protocol": "TCP"} for port in ports],
            "endpoints": [{"addresses": ["10.244.0.9"], "conditions": {"ready": ready}}],
        },
        EndpointSlice,
    )
    table = table_of(controllers=(controllers,))
    name = join_server_name(cluster=table.cluster, domain=table.domain)
    assert isinstance(entry_for(hello(name, b"meshctl-join/1"), table=table), found)
    assert table.joins == ((DOOR,) if ready else ())

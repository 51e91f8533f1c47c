"""What a connection on the peers' port is for, decided by its hello alone."""

from dataclasses import replace

import pytest

from mesh_core.allow import Allow
from mesh_core.identity import cluster_id, domain
from mesh_gateway.client_hello import Hello
from mesh_gateway.entry import Close, Entry, PassThrough, Serve, Tunnel, entry_for
from mesh_gateway.metrics import Unsaid
from mesh_gateway.opening import Reason
from mesh_gateway.route import Address, Ingress, RouteTable, ServicePort

HELLO = ServicePort("demo", "hello", 80)
POD = Address("10.244.0.5", 8080)
DB_0 = ServicePort("demo", "db", 5432, endpoint="db-0")
DB_POD = Address("10.244.0.6", 5432)
CONTROLLER = Address("10.244.0.9", 15445)
TABLE = RouteTable(
    cluster=cluster_id("east"),
    domain=domain("clusterset.internal"),
    egress={},
    ingress={HELLO: Ingress((POD,)), DB_0: Ingress((DB_POD,), Allow(frozenset({"west"})))},
    controllers=(CONTROLLER,),
    gateways={},
    contested=(),
)


def entry(name: str | None, *protocols: bytes, table: RouteTable = TABLE) -> Entry:
    hello = Hello(server_name=name, protocols=protocols, versions=(0x0304,))
    return entry_for(hello, table=table)


@pytest.mark.parametrize("protocols", [(), (b"meshctl/1",), (b"h2", b"http/1.1"), (b"meshctl-peer/1",)])
@pytest.mark.parametrize(
    "name", ["80.hello.demo.svc.clusterset.local", "80.east.hello.demo.svc.clusterset.local"]
)
def test_a_service_is_served_whatever_the_protocol_ruling_4(name: str, protocols: tuple[bytes, ...]) -> None:
    assert entry(name, *protocols) == Serve(target=HELLO, route=Ingress((POD,)))


@pytest.mark.parametrize("protocols", [(), (b"meshctl/1",), (b"meshctl-peer/1",)])
def test_one_endpoint_of_a_headless_service_is_served_by_its_name(protocols: tuple[bytes, ...]) -> None:
    found = entry("5432.DB-0.east.db.demo.svc.clusterset.local", *protocols)
    assert found == Serve(target=DB_0, route=TABLE.ingress[DB_0])


def test_the_controllers_stream_is_passed_through() -> None:
    peer = "peer.east.clusterset.internal"
    assert entry(peer, b"meshctl-peer/1") == PassThrough(endpoints=(CONTROLLER,))
    assert entry(peer, b"h2", b"meshctl-peer/1") == PassThrough(endpoints=(CONTROLLER,))


@pytest.mark.parametrize(
    ("name", "protocols"),
    [
        (None, ()),
        (None, (b"meshctl-peer/1",)),
        ("", ()),
        ("81.hello.demo.svc.clusterset.local", (b"meshctl/1",)),
        ("80.other.demo.svc.clusterset.local", (b"meshctl/1",)),
        ("80.hello.other.svc.clusterset.local", (b"meshctl/1",)),
        ("80.west.hello.demo.svc.clusterset.local", (b"meshctl/1",)),
        ("peer.east.clusterset.internal", ()),
        ("peer.east.clusterset.internal", (b"meshctl/1",)),
        ("peer.west.clusterset.internal", (b"meshctl-peer/1",)),
        ("gateway.east.clusterset.internal", (b"meshctl/1",)),
        *(
            (f"kube-apiserver.{cluster}.clusterset.internal", protocols)
            for cluster in ("east", "west")
            for protocols in ((), (b"meshctl/1",), (b"meshctl-inner/1",), (b"meshctl-tunnel/1",), (b"h2",))
        ),
        ("5432.db-0.west.db.demo.svc.clusterset.local", (b"meshctl/1",)),
        ("5432.db-1.east.db.demo.svc.clusterset.local", (b"meshctl/1",)),
        ("5433.db-0.east.db.demo.svc.clusterset.local", (b"meshctl/1",)),
        ("5432.db-0.east.other.demo.svc.clusterset.local", (b"meshctl/1",)),
        ("5432.db-0.db.demo.svc.clusterset.local", (b"meshctl/1",)),
        ("5432.db.demo.svc.clusterset.local", (b"meshctl/1",)),
        ("5432.east.db.demo.svc.clusterset.local", (b"meshctl/1",)),
        ("80.pod-0.east.hello.demo.svc.clusterset.local", (b"meshctl/1",)),
        ("example.com", (b"h2",)),
    ],
)
def test_anything_else_is_closed(name: str | None, protocols: tuple[bytes, ...]) -> None:
    assert isinstance(entry(name, *protocols), Close)
    # Who may reach the API server in a tunnel has no other way either.
    api_server, consents = (Address("10.96.0.1", 443),), {cluster_id("west"): frozenset({"kube-apiserver"})}
    table = replace(TABLE, api_server=api_server, consents=consents)
    assert isinstance(entry(name, *protocols, table=table), Close)


def test_a_hello_without_tls_1_3_is_closed_before_a_byte_is_sent() -> None:
    old = Hello("80.hello.demo.svc.clusterset.local", (), versions=(0x0303,))
    assert entry_for(old, table=TABLE) == Close("no TLS 1.3 offered")


def test_without_a_ready_controller_its_stream_is_closed() -> None:
    table = replace(TABLE, controllers=())
    assert isinstance(entry("peer.east.clusterset.internal", b"meshctl-peer/1", table=table), Close)


@pytest.mark.parametrize("protocols", [(b"meshctl-tunnel/1",), (b"h2", b"meshctl-tunnel/1")])
def test_a_tunnel_is_asked_for_by_the_gateways_own_name_and_protocol(protocols: tuple[bytes, ...]) -> None:
    assert entry("gateway.east.clusterset.internal", *protocols) == Tunnel()
    assert entry("GATEWAY.East.clusterset.internal", *protocols) == Tunnel()


@pytest.mark.parametrize(
    ("name", "protocols"),
    [
        ("gateway.west.clusterset.internal", (b"meshctl-tunnel/1",)),
        ("gateway.east.clusterset.internal", ()),
        ("gateway.east.clusterset.internal", (b"meshctl/1",)),
        ("gateway.east.clusterset.internal", (b"MESHCTL-TUNNEL/1",)),
        ("gateway.east.clusterset.internal", (b"meshctl-tunnel/1\0",)),
        ("gateway.east.other.internal", (b"meshctl-tunnel/1",)),
        ("peer.east.clusterset.internal", (b"meshctl-tunnel/1",)),
        ("east.clusterset.internal", (b"meshctl-tunnel/1",)),
        ("example.com", (b"meshctl-tunnel/1",)),
        (None, (b"meshctl-tunnel/1",)),
    ],
)
def test_no_other_hello_gets_a_tunnel(name: str | None, protocols: tuple[bytes, ...]) -> None:
    assert isinstance(entry(name, *protocols), Close)


def test_a_services_name_never_opens_a_tunnel_ruling_4() -> None:
    assert isinstance(entry("80.hello.demo.svc.clusterset.local", b"meshctl-tunnel/1"), Serve)
    assert isinstance(entry("80.other.demo.svc.clusterset.local", b"meshctl-tunnel/1"), Close)


SHOP = Ingress((Address("10.244.0.7", 8443), Address("10.244.0.8", 8443)))
PUBLIC = replace(TABLE, public={"shop.example.com": SHOP})


@pytest.mark.parametrize("name", ["shop.example.com", "SHOP.Example.COM"])
@pytest.mark.parametrize("protocols", [(), (b"h2", b"http/1.1"), (b"\x0a\x0a", b"h2"), (b"postgresql",)])
@pytest.mark.parametrize("versions", [(0x0304,), (0x0303,), ()])
def test_a_public_name_is_passed_through_whatever_its_own_tls_speaks(
    name: str, protocols: tuple[bytes, ...], versions: tuple[int, ...]
) -> None:
    hello = Hello(server_name=name, protocols=protocols, versions=versions)
    assert entry_for(hello, table=PUBLIC) == PassThrough(endpoints=SHOP.endpoints, public=True)


@pytest.mark.parametrize(
    "protocol", [b"meshctl/1", b"meshctl-tunnel/1", b"meshctl-peer/1", b"meshctl-inner/1", b"meshctl-join/1"]
)
def test_a_public_name_with_a_protocol_of_ours_is_closed(protocol: bytes) -> None:
    assert isinstance(entry("shop.example.com", protocol, table=PUBLIC), Close)
    assert isinstance(entry("shop.example.com", b"h2", protocol, table=PUBLIC), Close)


@pytest.mark.parametrize(
    "name",
    [
        "example.com",
        "www.shop.example.com",
        "shop.example.com.",
        ".shop.example.com",
        "shop.example.com\0",
        "shop.example.com\0.other",
        "shop\0.example.com",
        "shopXexample.com",
        "*.example.com",
        "shop.example.co",
        "xn--shp-sna.example.com",
        " shop.example.com",
        "SHOP.EXAMPLE.COM:443",
    ],
)
def test_only_the_exact_public_name_is_passed_through(name: str) -> None:
    assert isinstance(entry(name, b"h2", table=PUBLIC), Close)


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("80.nobody.demo.svc.clusterset.local", Reason.NOT_EXPORTED),
        ("peer.west.clusterset.internal", Unsaid.BAD_HELLO),
        ("somewhere.else", Unsaid.BAD_HELLO),
    ],
)
def test_what_is_closed_is_counted_under_what_was_wrong(name: str, counted: Reason | Unsaid) -> None:
    found = entry(name, b"meshctl/1")
    assert isinstance(found, Close)
    assert found.counted is counted

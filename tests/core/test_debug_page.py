"""The page of routes: everything that decides where a stream goes, in order."""

import json
from dataclasses import replace

from mesh_core.allow import allow_of
from mesh_core.identity import cluster_id
from mesh_fakes.gateways import table_of
from mesh_gateway.balance import Weighted
from mesh_gateway.debug_page import TunnelSeen, debug_page
from mesh_gateway.route import Address, Egress, Ingress, ServicePort

WEST, NORTH = cluster_id("west"), cluster_id("north")


def tunnel(replica: str, *, cluster: str = "west", rtt: float | None = 0.012) -> TunnelSeen:
    return TunnelSeen(
        cluster=cluster_id(cluster),
        address="192.0.2.7:15443",
        replica=replica,
        dialled=True,
        streams=3,
        rtt=rtt,
    )


def test_the_table_is_shown_whole() -> None:
    http = ServicePort("demo", "hello", 80)
    dns = ServicePort("demo", "dns", 53, protocol="UDP")
    table = table_of(
        "east",
        egress={
            20001: Egress(target=dns, targets=(), affinity=600),
            20000: Egress(target=http, targets=(Weighted(NORTH, 1), Weighted(WEST, 2))),
        },
        ingress={
            http: Ingress(
                endpoints=(Address("10.0.0.1", 8080), Address("fd00::1", 8080)),
                allow=allow_of(["west/demo", "north"]),
                proxy_protocol=True,
            )
        },
        controllers=(Address("10.0.0.9", 15445),),
        gateways={WEST: (Address("gw.west.example", 15443),)},
    )
    shop = Ingress(endpoints=(Address("10.0.0.2", 8443),), owner="demo/shop")
    consents = {WEST: frozenset({"kube-apiserver"})}
    api_server = (Address("10.96.0.1", 443),)
    table = replace(table, public={"shop.example": shop}, api_server=api_server, consents=consents)
    page = json.loads(
        debug_page(table, tunnels=[tunnel("b"), tunnel("a", rtt=None), tunnel("x", cluster="north")])
    )
    routes = page["routes"]
    assert (routes["cluster"], routes["domain"]) == ("east", "clusterset.internal")
    assert routes["egress"] == [
        {
            "port": 20000,
            "service": "demo/hello:80",
            "targets": [{"cluster": "north", "weight": 1}, {"cluster": "west", "weight": 2}],
            "affinitySeconds": None,
        },
        {"port": 20001, "service": "demo/dns:53/UDP", "targets": [], "affinitySeconds": 600},
    ]
    assert routes["ingress"] == [
        {
            "service": "demo/hello:80",
            "endpoints": ["10.0.0.1:8080", "[fd00::1]:8080"],
            "allow": ["north", "west/demo"],
            "affinity": False,
            "proxyProtocol": True,
        }
    ]
    assert routes["public"] == [
        {"name": "shop.example", "service": "demo/shop", "endpoints": ["10.0.0.2:8443"]}
    ]
    assert routes["controllers"] == ["10.0.0.9:15445"]
    assert (routes["apiServer"], routes["consents"]) == (["10.96.0.1:443"], {"west": ["kube-apiserver"]})
    north, west = page["peers"]
    assert (north["cluster"], north["gateways"]) == ("north", [])
    assert [one["replica"] for one in north["tunnels"]] == ["x"]
    assert west["gateways"] == ["gw.west.example:15443"]
    assert [(one["replica"], one["rttSeconds"]) for one in west["tunnels"]] == [("a", None), ("b", 0.012)]


def test_before_the_first_table_there_are_only_tunnels() -> None:
    page = json.loads(debug_page(None, tunnels=[tunnel("a")]))
    assert page["routes"] is None
    assert [one["cluster"] for one in page["peers"]] == ["west"]

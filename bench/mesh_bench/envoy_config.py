"""Envoy's configuration for either half and either mode. Pure; JSON, which Envoy reads too.

`envoy` opens a TLS connection for each of the client's. `envoy-h2` carries each of them as an HTTP/2 CONNECT
stream, many on one TLS connection. Limits that would count as errors here are out of the way, and HTTP/2 has
windows that are large enough for a long way.
"""

import json

from mesh_bench.certificates import Shown
from mesh_bench.figures import Json
from mesh_core.names import ALPN_STREAM
from mesh_gateway.route import Address

SERVER_NAME = "80.hello.demo.svc.clusterset.local"
_TYPES = "type.googleapis.com/envoy.extensions"
_MANY = 1_000_000
_STREAM_WINDOW, _CONNECTION_WINDOW = 1 << 20, 1 << 24
_CONNECT_SECONDS = "5s"
_H2_LIMITS: Json = {
    "initial_stream_window_size": _STREAM_WINDOW,
    "initial_connection_window_size": _CONNECTION_WINDOW,
}


def envoy_config(*halves: tuple[Json, Json]) -> str:
    """The file for these halves, each a listener and its cluster."""
    listeners, clusters = zip(*halves, strict=True)
    return json.dumps({"static_resources": {"listeners": listeners, "clusters": clusters}}, indent=1)


def egress(listen: Address, *, door: Address, files: Shown, tunnels: bool) -> tuple[Json, Json]:
    """Plain connections in, TLS to `door` out."""
    proxy: Json = {"stat_prefix": "egress", "cluster": "door"}
    cluster = _cluster("door", door)
    if tunnels:
        proxy["tunneling_config"] = {"hostname": f"{SERVER_NAME}:80"}
        h2 = {"max_concurrent_streams": _MANY, **_H2_LIMITS}
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": h2},
            }
        }
    context: Json = {"sni": SERVER_NAME, "common_tls_context": _tls(files, tunnels=tunnels)}
    cluster["transport_socket"] = _socket("UpstreamTlsContext", context)
    return _listener("egress", listen, chain={"filters": [_tcp_proxy(proxy)]}), cluster


def ingress(door: Address, *, backend: Address, files: Shown, tunnels: bool) -> tuple[Json, Json]:
    """TLS with a client's certificate in, plain connections to `backend` out."""
    context: Json = {
        "require_client_certificate": True,
        "common_tls_context": _tls(files, tunnels=tunnels),
    }
    chain: Json = {"transport_socket": _socket("DownstreamTlsContext", context)}
    inspectors: list[Json] = []
    if tunnels:
        chain["filters"] = [_connect_terminator()]
    else:
        # As our door does it: which service is meant is what the server name says.
        chain["filter_chain_match"] = {"server_names": [SERVER_NAME]}
        chain["filters"] = [_tcp_proxy({"stat_prefix": "ingress", "cluster": "backend"})]
        kind = f"{_TYPES}.filters.listener.tls_inspector.v3.TlsInspector"
        inspectors = [{"name": "tls", "typed_config": {"@type": kind}}]
    listener = _listener("ingress", door, chain=chain)
    listener["listener_filters"] = inspectors
    return listener, _cluster("backend", backend)


def _connect_terminator() -> Json:
    upgrade: Json = {"upgrade_type": "CONNECT"}
    route: Json = {
        "match": {"connect_matcher": {}},
        "route": {
            "cluster": "backend",
            "timeout": "0s",
            "upgrade_configs": [{**upgrade, "connect_config": {}}],
        },
    }
    kind = f"{_TYPES}.filters.http.router.v3.Router"
    config: Json = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "codec_type": "HTTP2",
        "stream_idle_timeout": "0s",
        "http2_protocol_options": {
            "allow_connect": True,
            "max_concurrent_streams": _MANY,
            **_H2_LIMITS,
        },
        "upgrade_configs": [upgrade],
        "http_filters": [{"name": "router", "typed_config": {"@type": kind}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    return {"name": "http", "typed_config": config}


def _tls(files: Shown, *, tunnels: bool) -> Json:
    only = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
    return {
        "alpn_protocols": ["h2" if tunnels else ALPN_STREAM],
        "tls_params": only,
        "tls_certificates": [
            {
                "certificate_chain": {"filename": str(files.chain)},
                "private_key": {"filename": str(files.key)},
            }
        ],
        "validation_context": {"trusted_ca": {"filename": str(files.roots)}},
    }


def _socket(kind: str, context: Json) -> Json:
    return {
        "name": "tls",
        "typed_config": {"@type": f"{_TYPES}.transport_sockets.tls.v3.{kind}", **context},
    }


def _tcp_proxy(config: Json) -> Json:
    kind = f"{_TYPES}.filters.network.tcp_proxy.v3.TcpProxy"
    return {"name": "tcp", "typed_config": {"@type": kind, "idle_timeout": "0s", **config}}


def _listener(name: str, address: Address, *, chain: Json) -> Json:
    return {"name": name, "address": _address(address), "filter_chains": [chain]}


def _cluster(name: str, address: Address) -> Json:
    threshold = dict.fromkeys(("max_connections", "max_requests", "max_pending_requests"), _MANY)
    endpoint = {"endpoint": {"address": _address(address)}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": _CONNECT_SECONDS,
        "circuit_breakers": {"thresholds": [threshold]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _address(address: Address) -> Json:
    return {"socket_address": {"address": address.host, "port_value": address.port}}

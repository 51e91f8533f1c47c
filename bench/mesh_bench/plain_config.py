"""Configurations of HAProxy and nginx. Pure."""

from mesh_bench.certificates import Shown
from mesh_bench.gateway_objects import EAST
from mesh_core.identity import Component, Identity, cluster_id, domain
from mesh_core.names import ALPN_STREAM, DEFAULT_DOMAIN
from mesh_gateway.route import Address

# HAProxy wants to find the name that it sends in the server's certificate, and knows no URIs: so it sends
# this one, and chooses the service by it.
_NAME = Identity(
    cluster=cluster_id(EAST), component=Component.GATEWAY, domain=domain(DEFAULT_DOMAIN)
).dns_names[0]
# Descriptors that HAProxy wants besides those of its connections: two each, and pipes for splicing.
_RESERVE = 200


def haproxy_pair(
    listen: Address, *, door: Address, backend: Address, west: Shown, east: Shown, files: int
) -> str:
    """Both halves, a TLS connection for each of the client's; the server name says what is meant.

    `files` are the descriptors that a process may have.
    """
    return f"""{_haproxy_head(files)}
frontend egress
    bind {listen}
    default_backend door
backend door
    server door {door} ssl crt {west.both} ca-file {west.roots} verify required \
sni str({_NAME}) alpn {ALPN_STREAM} ssl-min-ver TLSv1.3
frontend ingress
    bind {door} ssl crt {east.both} ca-file {east.roots} verify required alpn {ALPN_STREAM} \
ssl-min-ver TLSv1.3
    use_backend backend if {{ ssl_fc_sni -i {_NAME} }}
backend backend
    server backend {backend}
"""


def haproxy_passing(door: Address, *, backend: Address, name: str, files: int) -> str:
    """TLS passed through by its server name."""
    return f"""{_haproxy_head(files)}
frontend door
    bind {door}
    option splice-auto
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    use_backend backend if {{ req.ssl_sni -i {name} }}
backend backend
    option splice-auto
    server backend {backend}
"""


def nginx_passing(door: Address, *, backend: Address, name: str, module: str, folder: str) -> str:
    """The same; nothing is written outside of `folder`."""
    return f"""\
load_module {module};
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 20000; }}
stream {{
    map $ssl_preread_server_name $chosen {{ {name} {backend}; }}
    server {{
        listen {door};
        ssl_preread on;
        proxy_pass $chosen;
    }}
}}
"""


def _haproxy_head(files: int) -> str:
    connections = (files - _RESERVE) // 3
    return f"""\
global
    nbthread 1
    maxconn {connections}
    tune.bufsize 65536
defaults
    mode tcp
    maxconn {connections}
    timeout connect 5s
    timeout client 1h
    timeout server 1h
"""

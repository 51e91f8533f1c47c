"""The gateway of a cluster: its one door to the other members of the clusterset.

The ingress half answers port 15443 and brings what peers send to ready local endpoints; the egress
half answers the ports that imports were given and carries plain TCP to the gateway of a peer.

Pure, and checked to be so: `client_hello`, `sni`, `route`, `balance`. Streams of bytes are `stream`
(what one is), `tcp_stream`, `tls_stream` and `pump`; `ingress` and `egress` join them; `watch` keeps
the table of routes that both read.
"""

"""Whether what a member asks for is given, and to whom: one rule for streams in tunnels and for `meshctl/1`.

1. What is not in the table is refused, whoever asks.
2. A member that the export's `meshctl.dev/allow` does not name gets nothing.
3. Where it names only a part of a member, a namespace, an account or the nodes, the member's gateway must
   vouch for the source. A caller of `meshctl/1` has nobody who does, so he is let in only where his whole
   cluster is.
4. A refusal is decided before anything of the stream reached anybody.
5. Who only asks whether the way is good (a probe) speaks for nobody: it is enough that anything in his
   cluster is allowed. He gets no byte through, and learns no more than his gateway could by naming a source.
"""

from dataclasses import dataclass

from mesh_gateway.opening import Reason, Source
from mesh_gateway.route import Ingress, RouteTable, ServicePort

_LONGEST_NAME = 130
"""Characters of a name in a sentence, which goes back to the caller's gateway and into logs."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing is given; `why` is a sentence for people, of at most 512 characters."""

    reason: Reason
    why: str


def admit(
    asked: ServicePort, *, caller: str, source: Source | None, table: RouteTable, passed: bool
) -> Ingress | Denied:
    """The route to what is asked for, or why not.

    `caller` is the cluster in the certificate; `source` whom its gateway says it speaks for, and `passed`
    that it was the gateway who said so, in the opening of a stream.
    """
    route = table.ingress.get(asked)
    if route is None:
        return _nowhere(asked, table=table)
    allow = route.allow
    if allow is None or caller in allow.entries:
        return route
    known = source if passed else None
    if known is None:
        if allow.allows(caller):
            return route
    elif allow.allows(caller, namespace=known.namespace, account=known.account, node=known.node):
        return route
    if not allow.names(caller):
        return Denied(Reason.NOT_ALLOWED, f"{_what(asked)} is not exported to the cluster {caller}")
    if known is None or not (known.node or known.namespace):
        why = f"{_what(asked)} is exported to parts of the cluster {caller}, and nobody says which part asks"
        return Denied(Reason.SOURCE_UNKNOWN, why)
    return Denied(Reason.NOT_ALLOWED, f"{_what(asked)} is not exported to {_who(known)} of {caller}")


def admit_probe(asked: ServicePort, *, caller: str, table: RouteTable) -> Ingress | Denied:
    """The route that a stream of somebody in the cluster `caller` would take, or why nobody's would.

    Of a service without a port its first one is meant.
    """
    if not asked.port:
        asked = table.first.get((asked.namespace, asked.service), asked)
    if asked.protocol != "TCP":
        return Denied(Reason.UNSUPPORTED, f"{_what(asked)} has no TCP port that could be tried")
    route = table.ingress.get(asked)
    if route is None:
        return _nowhere(asked, table=table)
    if route.allow is None or route.allow.names(caller):
        return route
    return Denied(Reason.NOT_ALLOWED, f"{_what(asked)} is not exported to the cluster {caller}")


def partly(route: Ingress, *, caller: str) -> bool:
    """Whether only parts of the cluster `caller` may use the route."""
    return route.allow is not None and not route.allow.allows(caller)


def client_key(cluster: str, *, source: Source | None, address: str) -> str:
    """Who a client is to session affinity (ruling 14): cluster and source address.

    `address` is where the connection itself comes from, for a source that is not known.
    """
    return f"{cluster}/{source.address if source is not None and source.address else address}"


def _nowhere(asked: ServicePort, *, table: RouteTable) -> Denied:
    if asked in table.external:
        why = f"the endpoints of {_what(asked)} are not pods of this cluster; see --allow-external"
        return Denied(Reason.EXTERNAL_ADDRESS, why)
    if (asked.namespace, asked.service) in table.exported:
        return Denied(Reason.NO_ENDPOINT, f"{_what(asked)} has no such port or endpoint that is ready")
    return Denied(Reason.NOT_EXPORTED, f"{_what(asked)} is not exported")


def _what(asked: ServicePort) -> str:
    return _shown(f"{asked.namespace}/{asked.service}")


def _who(source: Source) -> str:
    return "the nodes" if source.node else _shown(f"{source.namespace}/{source.account}")


def _shown(name: str) -> str:
    """A name that somebody else gave, in characters that a terminal takes."""
    shown = ascii(name)[1:-1]
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[:_LONGEST_NAME]}..."

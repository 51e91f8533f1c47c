"""Who somebody is in the clusterset: a component of a cluster, written as a SPIFFE URI.

    spiffe://<cluster id>.<domain>/<component>        SPIFFE ID, "The SPIFFE Identity", section 2
    spiffe://<cluster id>.<pool>.<domain>/<component>      of a cluster that an issuer let in

1. A `ClusterId` or `Domain` that came from `cluster_id` or `domain` is a valid one; nothing else is cast.
2. Reading is strict: one spelling means one identity, and every other spelling means none.
3. The cluster stands in the host, because OpenSSL's name constraints look at the host of a URI and at
   nothing else of it (RFC 5280, section 4.2.1.10): a path would be the signer's free choice.

Whether a certificate may be believed at all is decided before, by the chain (`mesh_runtime.tls`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NewType

from mesh_core.errors import Fault, MeshError, UserError
from mesh_core.names import CLUSTERSET_ZONE

ClusterId = NewType("ClusterId", str)
"""A member's name: one DNS label, lower case, 1 to 63 characters (KEP-2149); made by `cluster_id`."""

Domain = NewType("Domain", str)
"""The DNS name below which a clusterset's identities lie; made by `domain`."""

LONGEST_DOMAIN = 178
"""`controller.`, a cluster id of 63 and a dot leave this much of the 253 characters of a DNS name."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_CLUSTER_ID = re.compile(_LABEL)
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_SPIFFE = re.compile(rf"spiffe://({_LABEL})\.({_LABEL}(?:\.{_LABEL})*)/([a-z]+)")


class Component(Enum):
    """What part of the product somebody is; the path of the URI."""

    CONTROLLER = "controller"
    GATEWAY = "gateway"
    DNS = "dns"
    ACCESS = "access"
    CLIENT = "client"


class InvalidName(UserError):
    """A cluster id or a domain cannot be what it was given as."""


class NotAnIdentity(MeshError):
    """What the other side showed names nobody in this clusterset."""

    fault = Fault.PEER

    def __init__(self, what: str) -> None:
        super().__init__(
            what, next_step="compare the clusterset domain and the certificates of both clusters"
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """A component of a member. Its URI is the identity; its DNS names are for clients that check them."""

    cluster: ClusterId
    component: Component
    domain: Domain
    pool: str = ""
    """The pool of the issuer that let the cluster in (ruling 2); "" for whom the root itself admitted."""

    @property
    def host(self) -> str:
        """`<cluster id>.<domain>`: host of the URI, and the subtree that holds the DNS names."""
        return identity_host(self.cluster, domain=self.domain, pool=self.pool)

    @property
    def uri(self) -> str:
        """The one URI subject alternative name of the identity's certificate."""
        return f"spiffe://{self.host}/{self.component.value}"

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The DNS subject alternative names; the controller's second one is the peer stream's SNI."""
        own = f"{self.component.value}.{self.host}"
        is_controller = self.component is Component.CONTROLLER
        return (own, f"peer.{self.host}") if is_controller else (own,)

    def __str__(self) -> str:
        return self.uri


@dataclass(frozen=True, slots=True)
class Expected:
    """Who may stand at the other end: these components, of these clusters or (None) of any member.

    `pool` None leaves it to the rules of trust in which pool a cluster of that id is.
    """

    domain: Domain
    components: frozenset[Component]
    clusters: frozenset[ClusterId] | None = None
    pool: str | None = None

    @classmethod
    def exactly(cls, identity: Identity) -> "Expected":
        """Nobody but `identity`."""
        return cls(
            domain=identity.domain,
            components=frozenset({identity.component}),
            clusters=frozenset({identity.cluster}),
            pool=identity.pool,
        )

    def admits(self, identity: Identity) -> bool:
        """Whether `identity` is one of those expected."""
        return (
            identity.domain == self.domain
            and identity.component in self.components
            and (self.clusters is None or identity.cluster in self.clusters)
            and (self.pool is None or identity.pool == self.pool)
        )

    def __str__(self) -> str:
        components = " or ".join(sorted(component.value for component in self.components))
        clusters = "any member" if self.clusters is None else " or ".join(sorted(self.clusters))
        return f"{components} of {clusters} in {self.domain}"


def cluster_id(text: str) -> ClusterId:
    """`text` as a cluster id; raises InvalidName when it is not one lower-case DNS label."""
    if not _CLUSTER_ID.fullmatch(text):
        raise InvalidName(
            f"{text!r} cannot be a cluster id",
            next_step="use one DNS label: a-z, 0-9 and inner hyphens, at most 63 characters",
        )
    return ClusterId(text)


def domain(text: str) -> Domain:
    """`text` as a clusterset's identity domain; raises InvalidName.

    Refused are, beside what is no DNS name: more than `LONGEST_DOMAIN` characters; a last label of
    digits, which would make the host an IPv4 address; and the service zone itself, because a gateway
    takes every server name below it for a service (docs/wire.md).
    """
    if not _DOMAIN.fullmatch(text) or text.rpartition(".")[2].isdigit():
        raise InvalidName(
            f"{text!r} cannot be a clusterset's domain",
            next_step="use a lower-case DNS name like clusterset.internal",
        )
    if len(text) > LONGEST_DOMAIN:
        raise InvalidName(
            f"the domain {text[:20]}... has {len(text)} characters",
            next_step=f"use one of at most {LONGEST_DOMAIN}",
        )
    if text == CLUSTERSET_ZONE or text.endswith(f".{CLUSTERSET_ZONE}"):
        raise InvalidName(
            f"the domain {text} lies in the zone of the services",
            next_step=f"use a domain that is not {CLUSTERSET_ZONE} or below it",
        )
    return Domain(text)


def identity_host(cluster: ClusterId, *, domain: Domain, pool: str = "") -> str:
    """The DNS name that holds everything of one member, and bounds what its intermediate may sign."""
    return f"{cluster}.{pool}.{domain}" if pool else f"{cluster}.{domain}"


def identity_of_uri(uri: str, *, domain: Domain) -> Identity:
    """The identity that `uri` spells in `domain`.

    One label between the cluster and the domain is a pool. Raises NotAnIdentity for everything else:
    another scheme or domain, upper case, a port, user information, a query, a fragment, percent signs, or a
    path that is not exactly one known component.
    """
    match = _SPIFFE.fullmatch(uri)
    if match is None:
        raise NotAnIdentity(f"{uri[:300]!r} is no identity in {domain}")
    pool = "" if match[2] == domain else match[2].removesuffix(f".{domain}")
    if "." in pool or pool == match[2] != domain:
        raise NotAnIdentity(f"{uri[:300]!r} is no identity in {domain}")
    try:
        component = Component(match[3])
    except ValueError as error:
        raise NotAnIdentity(f"{uri[:300]!r} names a component that does not exist") from error
    return Identity(cluster=ClusterId(match[1]), component=component, domain=domain, pool=pool)


def sole_identity(uris: Sequence[str], *, domain: Domain) -> Identity:
    """The identity of a certificate with these URI names; exactly one counts (X.509-SVID, section 2).

    Raises NotAnIdentity when there is none, more than one, or one that is no identity in `domain`.
    """
    if len(uris) != 1:
        raise NotAnIdentity(f"a certificate names {len(uris)} URIs instead of one")
    return identity_of_uri(uris[0], domain=domain)

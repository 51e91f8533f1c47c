"""Two clusters that have nothing in common but a way between them: one invites, the other comes.

Of each only the parts run that have to do with joining: over API servers in memory, with real TLS on
loopback. The gateways are left out: tokens name the port of the inviter's door itself.
"""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec

from mesh_controller.intermediate_source import IntermediateSource
from mesh_controller.issuer_source import IssuerSource
from mesh_controller.join_door import JoinDoor
from mesh_controller.joiner import Joiner
from mesh_controller.main import bound_socket
from mesh_controller.reception import Reception
from mesh_core.identity import cluster_id
from mesh_core.invitation_token import Token, default_pool, key_of, write_token
from mesh_core.invitations import Invitation, read_invitation, write_invitation
from mesh_core.join_order import JOINED, order_body
from mesh_core.names import (
    INTERMEDIATE_SECRET,
    INVITATIONS_SECRET,
    ISSUER_SECRET,
    JOIN_TOKEN_SECRET,
    PROPERTY_CLUSTER_ID,
    SYSTEM_NAMESPACE,
    TRUST_BUNDLE,
)
from mesh_core.objects import Condition, PeerGateway, TrustBundle
from mesh_core.objects.trust import IssuerEntry, RefusedKey, RootEntry, RosterEntry, Signed, Statement
from mesh_core.signing import CONTROLLER_ACCOUNT
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.member_api import MemberApi
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.intermediate import CERTIFICATE, KEY
from mesh_runtime.kube import CLUSTER_PROPERTIES, SECRETS, TRUST_BUNDLES
from mesh_runtime.membership import MembershipSource
from mesh_runtime.pem import certificates_to_pem, key_to_pem
from mesh_runtime.pki import Authority, make_issuer, new_key
from mesh_runtime.trust_signing import key_id_of, signed

NEWCOMERS_GATEWAY = (PeerGateway(host="192.0.2.2", port=15443),)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(slots=True)
class Inviter:
    """A member with an issuer; `replicas` are the doors of its controllers."""

    name: str
    clusterset: FakeClusterset
    api: MemberApi
    issuer: Authority
    doors: list[JoinDoor] = field(default_factory=list)
    refused: tuple[RefusedKey, ...] = ()
    generation: int = 1

    @property
    def pool(self) -> str:
        return default_pool(self.name)

    @property
    def root_key(self) -> str:
        return key_id_of(self.clusterset.root.key.public_key())

    def statement(self, *, members: tuple[str, ...] = ()) -> Signed:
        """The statement in force: this member and those given, and our issuer."""
        roster = [
            RosterEntry(cluster=name, keys=(key_id_of(self.clusterset.member(name).key.public_key()),))
            for name in (self.name, *members)
        ]
        statement = Statement(
            domain=self.clusterset.domain,
            generation=self.generation,
            roots=(RootEntry(key=self.root_key, certificate=self.clusterset.roots[0]),),
            roster=tuple(roster),
            issuers=(
                IssuerEntry(
                    key=key_id_of(self.issuer.key.public_key()),
                    pool=self.pool,
                    holder=self.name,
                    certificate=certificates_to_pem((self.issuer.certificate,)).decode(),
                ),
            ),
            refused=self.refused,
        )
        return signed(statement, by=(self.clusterset.root.key,))

    def invite(
        self,
        *,
        uses: int = 1,
        ttl: timedelta = timedelta(minutes=15),
        cluster: str = "",
        network: str = "",
        pod_cidrs: tuple[str, ...] = (),
        gateways: tuple[PeerGateway, ...] = (PeerGateway(host="192.0.2.1", port=15443),),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Token:
        """What `meshctl invite` leaves in the cluster; the token's gateway is filled in by `at`."""
        expires = (clock() + ttl).replace(microsecond=0)
        token = Token(
            gateways=(PeerGateway(host="127.0.0.1", port=1),),
            cluster=cluster_id(self.name),
            domain=self.clusterset.domain,
            root=self.root_key,
            id=os.urandom(8).hex(),
            secret=os.urandom(16),
            expires=expires,
            pool=self.pool,
            generation=self.generation,
        )
        invitation = Invitation(
            key=key_of(token.secret, invitation=token.id).hex(),
            uses=uses,
            expires=expires.isoformat(),
            cluster=cluster,
            gateways=gateways,
            network=network,
            pod_cidrs=pod_cidrs,
        )
        self.keep(token.id, invitation)
        return token

    def keep(self, name: str, invitation: Invitation) -> None:
        """Write an invitation as it shall be."""
        meta = {"name": INVITATIONS_SECRET, "namespace": SYSTEM_NAMESPACE}
        self.api.put(SECRETS, {"metadata": meta, "data": {name: encoded(write_invitation(invitation))}})

    def invitation(self, token: Token) -> Invitation:
        """An invitation as it stands."""
        secret = self.api.find(SECRETS, INVITATIONS_SECRET, namespace=SYSTEM_NAMESPACE)
        assert secret is not None
        found = read_invitation(base64.b64decode(secret.data[token.id]))
        assert found is not None
        return found

    async def at(self, token: Token, *, replica: int = 0) -> Token:
        """The token with the gateway where that replica's door listens, once it does."""
        door = self.doors[replica]
        await until(lambda: door.port != 0)
        return at_port(token, door.port)


@dataclass(slots=True)
class Newcomer:
    """A cluster that is nobody yet."""

    name: str
    api: MemberApi

    def prepare(self, token: Token, *, gateways: tuple[PeerGateway, ...] = ()) -> None:
        """What `meshctl accept` writes."""
        body = {"metadata": {"name": PROPERTY_CLUSTER_ID}, "spec": {"value": self.name}}
        self.api.put(CLUSTER_PROPERTIES, body)
        spec = {"domain": token.domain, "pool": token.pool, "pins": [token.root]}
        self.api.put(TRUST_BUNDLES, {"metadata": {"name": TRUST_BUNDLE}, "spec": spec})
        self.api.put(SECRETS, order_body(write_token(token), gateways=gateways, pod_ranges=()))

    @property
    def bundle(self) -> TrustBundle:
        found = self.api.find(TRUST_BUNDLES, TRUST_BUNDLE)
        assert found is not None
        return found

    @property
    def joined(self) -> Condition | None:
        """The condition `Joined`, once it is no longer unknown."""
        bundle = self.api.find(TRUST_BUNDLES, TRUST_BUNDLE)
        found = bundle.status.conditions if bundle is not None else ()
        return next((one for one in found if one.type == JOINED and one.status != "Unknown"), None)

    @property
    def is_done(self) -> bool:
        """Whether the token has gone."""
        return self.api.find(SECRETS, JOIN_TOKEN_SECRET, namespace=SYSTEM_NAMESPACE) is None

    @property
    def chain(self) -> bytes:
        """The intermediate as it is stored, b"" without one."""
        secret = self.api.find(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
        return base64.b64decode(secret.data.get(CERTIFICATE, "")) if secret is not None else b""

    @asynccontextmanager
    async def running(
        self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> AsyncIterator[None]:
        """Its controller's part of joining."""
        kube = self.api.client(CONTROLLER_ACCOUNT)
        async with under_way(Joiner(kube, clock=clock, jitter=lambda: 0.0).run()):
            yield


@asynccontextmanager
async def inviter(
    name: str = "east",
    *,
    clusterset: FakeClusterset | None = None,
    replicas: int = 1,
    members: tuple[str, ...] = (),
    refused: tuple[RefusedKey, ...] = (),
) -> AsyncIterator[Inviter]:
    """A member with an issuer, whose replicas' doors are ready to open."""
    clusterset = clusterset or FakeClusterset()
    key = new_key()
    certificate = make_issuer(
        clusterset.root,
        pool=default_pool(name),
        holder=cluster_id(name),
        domain=clusterset.domain,
        public_key=key.public_key(),
        now=clusterset.now,
    )
    east = Inviter(name, clusterset, _api(name), Authority(certificate, key), refused=refused)
    own = clusterset.member(name)
    for secret, content in (
        (INTERMEDIATE_SECRET, {KEY: key_to_pem(own.key), CERTIFICATE: certificates_to_pem(own.chain)}),
        (ISSUER_SECRET, {KEY: key_to_pem(key), CERTIFICATE: certificates_to_pem((certificate,))}),
    ):
        meta = {"name": secret, "namespace": SYSTEM_NAMESPACE}
        data = {part: encoded(value) for part, value in content.items()}
        east.api.put(SECRETS, {"metadata": meta, "data": data})
    body = {"metadata": {"name": PROPERTY_CLUSTER_ID}, "spec": {"value": name}}
    east.api.put(CLUSTER_PROPERTIES, body)
    spec = {
        "domain": clusterset.domain,
        "statement": msgspec.to_builtins(east.statement(members=members)),
    }
    east.api.put(TRUST_BUNDLES, {"metadata": {"name": TRUST_BUNDLE}, "spec": spec})
    async with AsyncExitStack() as stack:
        for _ in range(replicas):
            east.doors.append(await stack.enter_async_context(_replica(east)))
        yield east


@asynccontextmanager
async def _replica(east: Inviter) -> AsyncIterator[JoinDoor]:
    kube = east.api.client(CONTROLLER_ACCOUNT)
    membership = MembershipSource(kube)
    source = IntermediateSource(kube, membership=membership)
    issuer = IssuerSource(kube, membership=membership)
    reception = Reception(kube, membership=membership, issuer=issuer)
    door = JoinDoor(kube, reception=reception, standing=source, bound=lambda: bound_socket(0))
    async with under_way(membership.run(), source.run(), issuer.run(), door.run()):
        async with asyncio.timeout(60):
            await source.after(None)
        yield door


def newcomer(name: str = "west") -> Newcomer:
    """A cluster without anything of ours but namespaces."""
    return Newcomer(name, _api(name))


async def outcome(west: Newcomer, token: Token) -> str:
    """What becomes of the token: "in", or the reason of the condition that says why not."""
    west.prepare(token, gateways=NEWCOMERS_GATEWAY)
    async with west.running():
        await until(lambda: west.is_done or (west.joined is not None and west.joined.status == "False"))
    return "in" if west.is_done else (west.joined.reason if west.joined is not None else "")


def without_certificate(west: Newcomer) -> None:
    """As after a loss: the key is there, and another token is needed."""
    kept = west.api.find(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
    assert kept is not None
    west.api.remove(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
    meta = {"name": INTERMEDIATE_SECRET, "namespace": SYSTEM_NAMESPACE}
    west.api.put(SECRETS, {"metadata": meta, "data": {KEY: kept.data[KEY]}})


def at_port(token: Token, *ports: int) -> Token:
    """The same token with gateways at these ports of loopback."""
    gateways = tuple(PeerGateway(host="127.0.0.1", port=port) for port in ports)
    return replace(token, gateways=gateways)


def _api(name: str) -> MemberApi:
    api = MemberApi(clock=lambda: datetime.now(UTC))
    for namespace in ("kube-system", SYSTEM_NAMESPACE):
        api.namespace(namespace, uid=f"{name}-{namespace}")
    return api

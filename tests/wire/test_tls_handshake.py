"""Mutual TLS between members, and everything that must not pass for it, by OpenSSL's own handshakes."""

import ipaddress
import os
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mesh_core.identity import Component, Expected, domain
from mesh_core.trust import OPEN
from mesh_fakes.clusterset import DOMAIN, FakeClusterset, identity
from mesh_fakes.forged import Forgery, chain, good_names
from mesh_runtime.pki import make_intermediate
from mesh_runtime.proof import InMemoryPair
from mesh_runtime.tls import (
    Credentials,
    PeerRefused,
    UnusableCredentials,
    client_context,
    peer_identity,
    server_context,
    verify_peer,
)

SET = FakeClusterset()
WEST, EAST = identity("west"), identity("east")
GATEWAYS = Expected(domain=DOMAIN, components=frozenset({Component.GATEWAY}))


def pair(*, server: Credentials, client: Credentials, alpn: tuple[str, ...] = ("meshctl/1",)) -> InMemoryPair:
    return InMemoryPair(
        server=server_context(server, roots=SET.roots, alpn=alpn),
        client=client_context(client, roots=SET.roots, alpn=alpn),
    )


def test_two_members_know_each_other_by_their_uri() -> None:
    ends = pair(server=SET.credentials("east"), client=SET.credentials("west"))
    ends.handshake()
    assert verify_peer(ends.client, expected=Expected.exactly(EAST), trust=OPEN).identity == EAST
    assert verify_peer(ends.server, expected=GATEWAYS, trust=OPEN).identity == WEST
    assert ends.client.version() == "TLSv1.3"
    assert ends.server.selected_alpn_protocol() == "meshctl/1"


def test_without_protocols_none_is_negotiated() -> None:
    ends = pair(server=SET.credentials("east"), client=SET.credentials("west"), alpn=())
    ends.handshake()
    assert ends.client.selected_alpn_protocol() is None


def foreign_root() -> Credentials:
    return FakeClusterset().credentials("west")


def foreign_root_sent_along() -> Credentials:
    other = FakeClusterset()
    leaf = good_names(WEST).signed_by(other.member("west"))
    return chain(leaf, other.member("west"), other.root)


def another_member() -> Credentials:
    return good_names(EAST).shown(SET.member("west"))


def another_members_dns_name() -> Credentials:
    foreign = [x509.DNSName("gateway.east.clusterset.internal")]
    return Forgery(uris=(WEST.uri,), names=foreign).shown(SET.member("west"))


def a_service_name() -> Credentials:
    service = [x509.DNSName("80.hello.demo.svc.clusterset.local")]
    return Forgery(uris=(WEST.uri,), names=service).shown(SET.member("west"))


def a_cluster_below() -> Credentials:
    return Forgery(uris=("spiffe://a.west.clusterset.internal/gateway",)).shown(SET.member("west"))


def an_address() -> Credentials:
    address = [x509.IPAddress(ipaddress.ip_address("10.0.0.1"))]
    return Forgery(uris=(WEST.uri,), names=address).shown(SET.member("west"))


def an_address_of_six() -> Credentials:
    address = [x509.IPAddress(ipaddress.ip_address("fd00::1"))]
    return Forgery(uris=(WEST.uri,), names=address).shown(SET.member("west"))


def a_mailbox() -> Credentials:
    mailbox = [x509.RFC822Name("root@example.org")]
    return Forgery(uris=(WEST.uri,), names=mailbox).shown(SET.member("west"))


def a_mailbox_of_its_own() -> Credentials:
    mailbox = [x509.RFC822Name("root@west.clusterset.internal")]
    return Forgery(uris=(WEST.uri,), names=mailbox).shown(SET.member("west"))


def expired() -> Credentials:
    past = datetime.now(UTC) - timedelta(hours=25)
    return replace(good_names(WEST), start=past).shown(SET.member("west"))


def not_yet_valid() -> Credentials:
    future = datetime.now(UTC) + timedelta(minutes=2)
    return replace(good_names(WEST), start=future).shown(SET.member("west"))


def an_expired_intermediate() -> Credentials:
    old = FakeClusterset(now=datetime.now(UTC) - timedelta(days=91))
    # The very root of the others, so that nothing but the intermediate's age is wrong.
    old.root = SET.root
    return good_names(WEST).shown(old.member("west"))


def without_its_intermediate() -> Credentials:
    return chain(good_names(WEST).signed_by(SET.member("west")))


def with_another_intermediate() -> Credentials:
    return chain(good_names(WEST).signed_by(SET.member("west")), SET.member("east"))


def an_intermediate_below_an_intermediate() -> Credentials:
    below = Forgery(is_authority=True).signed_by(SET.member("west"))
    return chain(good_names(WEST).signed_by(below), below, SET.member("west"))


def a_leaf_that_signs() -> Credentials:
    leaf = good_names(WEST).signed_by(SET.member("west"))
    return chain(good_names(WEST).signed_by(leaf), leaf, SET.member("west"))


def for_signing_code() -> Credentials:
    wrong = replace(good_names(WEST), purposes=(ExtendedKeyUsageOID.CODE_SIGNING,))
    return wrong.shown(SET.member("west"))


def without_its_issuers_key_identifier() -> Credentials:
    return replace(good_names(WEST), identifies_issuer=False).shown(SET.member("west"))


UNBELIEVABLE = [
    (foreign_root, "unable to get local issuer certificate"),
    (without_its_intermediate, "unable to get local issuer certificate"),
    (with_another_intermediate, "unable to get local issuer certificate"),
    (foreign_root_sent_along, "self-signed certificate in certificate chain"),
    (another_member, "permitted subtree violation"),
    (another_members_dns_name, "permitted subtree violation"),
    (a_service_name, "permitted subtree violation"),
    (a_cluster_below, "permitted subtree violation"),
    (a_mailbox, "permitted subtree violation"),
    (a_mailbox_of_its_own, "permitted subtree violation"),
    (an_address, "excluded subtree violation"),
    (an_address_of_six, "excluded subtree violation"),
    (expired, "certificate has expired"),
    (an_expired_intermediate, "certificate has expired"),
    (not_yet_valid, "certificate is not yet valid"),
    (an_intermediate_below_an_intermediate, "path length constraint exceeded"),
    (a_leaf_that_signs, "invalid CA certificate"),
    (for_signing_code, "unsuitable certificate purpose"),
    (without_its_issuers_key_identifier, "Missing Authority Key Identifier"),
]


@pytest.mark.parametrize(("show", "why"), UNBELIEVABLE)
def test_a_server_takes_no_client_that_shows(show: Callable[[], Credentials], why: str) -> None:
    ends = pair(server=SET.credentials("east"), client=show())
    with pytest.raises(ssl.SSLCertVerificationError, match=why):
        ends.handshake()
    with pytest.raises(PeerRefused):
        peer_identity(ends.server, domain=DOMAIN)


@pytest.mark.parametrize(("show", "why"), UNBELIEVABLE)
def test_a_client_takes_no_server_that_shows(show: Callable[[], Credentials], why: str) -> None:
    ends = pair(server=show(), client=SET.credentials("east"))
    with pytest.raises(ssl.SSLCertVerificationError, match=why):
        ends.handshake()


def two_identities() -> Credentials:
    both = Forgery(uris=(WEST.uri, identity("west", Component.CONTROLLER).uri))
    return both.shown(SET.member("west"))


def an_unknown_component() -> Credentials:
    return Forgery(uris=("spiffe://west.clusterset.internal/root",)).shown(SET.member("west"))


def no_uri() -> Credentials:
    return Forgery(names=[x509.DNSName("gateway.west.clusterset.internal")]).shown(SET.member("west"))


def no_names() -> Credentials:
    return Forgery().shown(SET.member("west"))


def a_port_in_the_uri() -> Credentials:
    return Forgery(uris=("spiffe://west.clusterset.internal:1/gateway",)).shown(SET.member("west"))


def user_information_in_the_uri() -> Credentials:
    trick = "spiffe://east.clusterset.internal@west.clusterset.internal/gateway"
    return Forgery(uris=(trick,)).shown(SET.member("west"))


@pytest.mark.parametrize(
    "show",
    [
        two_identities,
        an_unknown_component,
        no_uri,
        no_names,
        a_port_in_the_uri,
        user_information_in_the_uri,
    ],
)
def test_a_chain_is_not_an_identity(show: Callable[[], Credentials]) -> None:
    """The path of the chain is good in each of these: OpenSSL passes it or not, we never do."""
    ends = pair(server=SET.credentials("east"), client=show())
    with pytest.raises((ssl.SSLCertVerificationError, PeerRefused)):
        ends.handshake()
        peer_identity(ends.server, domain=DOMAIN)


@pytest.mark.parametrize(
    "expected",
    [
        Expected.exactly(EAST),
        Expected.exactly(identity("west", Component.CONTROLLER)),
        Expected(domain=DOMAIN, components=frozenset({Component.CLIENT, Component.DNS})),
    ],
)
def test_a_believable_peer_can_be_the_wrong_one(expected: Expected) -> None:
    ends = pair(server=SET.credentials("east"), client=SET.credentials("west"))
    ends.handshake()
    with pytest.raises(PeerRefused, match="west"):
        verify_peer(ends.server, expected=expected, trust=OPEN)


def test_another_domain_below_the_same_root_is_nobody() -> None:
    other = domain("other.internal")
    key = SET.member("west").key
    certificate = make_intermediate(
        SET.root, cluster=WEST.cluster, domain=other, public_key=key.public_key(), now=SET.now
    )
    issuer = replace(SET.member("west"), certificate=certificate)
    credentials = good_names(replace(WEST, domain=other)).shown(issuer)
    ends = pair(server=SET.credentials("east"), client=credentials)
    ends.handshake()
    with pytest.raises(PeerRefused, match=r"no identity in clusterset\.internal"):
        verify_peer(ends.server, expected=GATEWAYS, trust=OPEN)


def test_a_client_without_a_certificate_is_refused() -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(cadata=SET.roots[0])
    server = server_context(SET.credentials("east"), roots=SET.roots, alpn=())
    ends = InMemoryPair(server=server, client=client)
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        ends.handshake()
    with pytest.raises(PeerRefused):
        peer_identity(ends.server, domain=DOMAIN)


def test_tls_1_2_is_refused_by_both_ends() -> None:
    old_client = client_context(SET.credentials("west"), roots=SET.roots, alpn=())
    old_client.minimum_version = old_client.maximum_version = ssl.TLSVersion.TLSv1_2
    old_server = server_context(SET.credentials("east"), roots=SET.roots, alpn=())
    old_server.minimum_version = old_server.maximum_version = ssl.TLSVersion.TLSv1_2
    server = server_context(SET.credentials("east"), roots=SET.roots, alpn=())
    client = client_context(SET.credentials("west"), roots=SET.roots, alpn=())
    for ends in (
        InMemoryPair(server=server, client=old_client),
        InMemoryPair(server=old_server, client=client),
    ):
        with pytest.raises(ssl.SSLError):
            ends.handshake()


def test_ruling_3_a_context_switched_in_a_callback_demands_nothing_and_is_found_out() -> None:
    """Python keeps the first context's demand, so the handshake passes; the missing certificate closes."""
    strict = server_context(SET.credentials("east"), roots=SET.roots, alpn=())
    lax = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def switch(end: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        end.context = strict

    lax.sni_callback = switch
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.load_verify_locations(cadata=SET.roots[0])
    ends = InMemoryPair(server=lax, client=bare)
    ends.handshake()
    with pytest.raises(PeerRefused, match="no certificate"):
        peer_identity(ends.server, domain=DOMAIN)


def test_an_unverified_certificate_is_no_identity() -> None:
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    foreign = server_context(foreign_root(), roots=SET.roots, alpn=())
    foreign.verify_mode = ssl.CERT_NONE
    ends = InMemoryPair(server=foreign, client=careless)
    ends.handshake()
    with pytest.raises(PeerRefused):
        peer_identity(ends.client, domain=DOMAIN)


def test_nothing_is_known_of_a_peer_before_the_handshake_is_over() -> None:
    ends = pair(server=SET.credentials("east"), client=SET.credentials("west"))
    with pytest.raises(PeerRefused):
        peer_identity(ends.server, domain=DOMAIN)


def test_a_clients_handshake_is_over_before_the_server_has_looked_at_it() -> None:
    """What `tls` tells its callers: the refusal comes with the first read, and nothing is delivered."""
    ends = pair(server=SET.credentials("east"), client=another_member())
    with pytest.raises(ssl.SSLWantReadError):
        ends.client.do_handshake()
    with pytest.raises(ssl.SSLWantReadError):
        ends.server.do_handshake()
    ends.client.do_handshake()
    assert verify_peer(ends.client, expected=Expected.exactly(EAST), trust=OPEN).identity == EAST
    ends.client.write(b"too early")
    with pytest.raises(ssl.SSLCertVerificationError):
        ends.server.do_handshake()
    with pytest.raises(ssl.SSLError):
        ends.server.read(100)
    with pytest.raises(ssl.SSLError, match="ALERT"):
        ends.client.read(100)


def test_no_session_can_be_resumed() -> None:
    ends = pair(server=SET.credentials("east"), client=SET.credentials("west"))
    ends.handshake()
    ends.server.write(b"hello")
    assert ends.client.read(100) == b"hello"
    assert ends.client.session is None or not ends.client.session.has_ticket


def test_a_key_that_does_not_fit_is_refused() -> None:
    mixed = Credentials(SET.credentials("east").key_pem, SET.credentials("west").chain_pem)
    with pytest.raises(UnusableCredentials, match="KEY_VALUES_MISMATCH"):
        server_context(mixed, roots=SET.roots, alpn=())


@pytest.mark.parametrize("roots", [(), ("",), ("nonsense",)])
def test_contexts_need_roots(roots: tuple[str, ...]) -> None:
    with pytest.raises(UnusableCredentials, match="roots"):
        client_context(SET.credentials("west"), roots=roots, alpn=())


def test_a_context_leaves_no_file_open() -> None:
    credentials = SET.credentials("west")
    before = len(os.listdir("/proc/self/fd"))
    server_context(credentials, roots=SET.roots, alpn=())
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_key_never_shows_in_a_repr() -> None:
    assert "PRIVATE" not in repr(SET.credentials("west"))
    assert "key" not in repr(SET.root).replace("keyIdentifier", "")

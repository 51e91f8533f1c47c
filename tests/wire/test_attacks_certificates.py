"""Certificates of somebody who has a member's key, and keys that nobody believes any more.

What OpenSSL refuses by the dates and the chain is in test_tls_handshake.py. Here is what it lets through, or
would in other hands: names with odd bytes, purposes, certificates that stand in the wrong place, and keys
that a statement, a revocation or our own operator refuses.
"""

import ssl
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from mesh_core.identity import Component, Expected
from mesh_core.objects.trust import LocalRefusal
from mesh_core.trust import Trust
from mesh_fakes.clusterset import DOMAIN, FakeClusterset, identity
from mesh_fakes.forged import BOTH, Forgery, chain, good_names
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.pki import Authority, new_key
from mesh_runtime.proof import InMemoryPair
from mesh_runtime.tls import Credentials, PeerRefused, client_context, server_context, verify_peer
from mesh_runtime.trust_signing import key_id_of

SET = FakeClusterset()
MALLORY = identity("mallory")
KEY = SET.member("mallory")
ANYBODY = Expected(domain=DOMAIN, components=frozenset(Component))
ROOTS = frozenset({key_id_of(SET.root.key.public_key())})


def rostered(*clusters: str) -> Trust:
    """What a member believes whose statement names just these."""
    return Trust(generation=7, roots=ROOTS, roster={name: frozenset({SET.key(name)}) for name in clusters})


TRUST = rostered("east", "west", "mallory")


def believed(shown: Credentials, *, client: bool, trust: Trust = TRUST) -> str:
    """For whom east takes the one that shows this: a client of its, or a server that it dialled."""
    ours = SET.credentials("east")
    ends = InMemoryPair(
        server=server_context(ours if client else shown, roots=SET.roots, alpn=()),
        client=client_context(shown if client else ours, roots=SET.roots, alpn=()),
    )
    ends.handshake()
    seen = ends.server if client else ends.client
    return str(verify_peer(seen, expected=ANYBODY, trust=trust).identity)


def refused_by_both(shown: Credentials, *, why: str | None = None, trust: Trust = TRUST) -> None:
    for client in (True, False):
        with pytest.raises((ssl.SSLCertVerificationError, PeerRefused), match=why):
            believed(shown, client=client, trust=trust)


def named(*uris: str) -> Credentials:
    return Forgery(uris=uris).shown(KEY)


BENT = {
    "NUL behind the component": "spiffe://mallory.clusterset.internal/gateway\0",
    "NUL between two components": "spiffe://mallory.clusterset.internal/controller\0/gateway",
    "NUL behind another member": "spiffe://east.clusterset.internal\0.mallory.clusterset.internal/gateway",
    "a line for the log": "spiffe://mallory.clusterset.internal/gateway\nlevel=error",
    "an escape sequence": "spiffe://mallory.clusterset.internal/gateway\x1b[2J",
    "DEL": "spiffe://mallory.clusterset.internal/gateway\x7f",
    "capitals": "spiffe://MALLORY.clusterset.internal/gateway",
    "another member in percent": "spiffe://mallory.clusterset.internal/..%2feast/gateway",
    "letters that look alike": "spiffe://xn--est-6cd.clusterset.internal/gateway",
    "a name of 64": f"spiffe://{'m' * 64}.clusterset.internal/gateway",
    "64 kB": f"spiffe://mallory.clusterset.internal/{'g' * 65_536}",
}


@pytest.mark.parametrize("uri", BENT.values(), ids=BENT)
def test_a_uri_with_bytes_that_no_identity_has_is_nobody(uri: str) -> None:
    refused_by_both(named(uri))


@pytest.mark.parametrize(
    "uri", ["spiffe://*.clusterset.internal/gateway", "spiffe://mallory.clusterset.internal/*", "spiffe://*"]
)
def test_a_wildcard_is_nobody(uri: str) -> None:
    refused_by_both(named(uri))
    refused_by_both(named(uri, MALLORY.uri))


def test_a_wildcard_of_all_members_names_is_outside_of_its_issuers_bounds() -> None:
    names = [x509.DNSName("*.clusterset.internal")]
    refused_by_both(Forgery(uris=(MALLORY.uri,), names=names).shown(KEY), why="permitted subtree")


@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName("*.mallory.clusterset.internal"),
        x509.DNSName("gateway.east.clusterset.internal\0.mallory.clusterset.internal"),
        x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "east")])),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x04east"),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    ],
    ids=lambda name: type(name).__name__,
)
def test_names_that_no_constraint_bounds_are_not_read(name: x509.GeneralName) -> None:
    """OpenSSL passes kinds of names for which the intermediate has no constraint."""
    shown = Forgery(uris=(MALLORY.uri,), names=[name]).shown(KEY)
    assert {believed(shown, client=client) for client in (True, False)} == {MALLORY.uri}


def test_a_certificate_for_servers_is_no_clients_and_the_other_way_round() -> None:
    """GHSA-837m-wjrv-vm5g of Envoy: the extended key usage was not looked at."""
    names = good_names(MALLORY)
    of_servers = replace(names, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)).shown(KEY)
    of_clients = replace(names, purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,)).shown(KEY)
    for_anything = replace(names, purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)).shown(KEY)
    for shown, client in ((of_servers, True), (of_clients, False), (for_anything, True)):
        with pytest.raises(ssl.SSLCertVerificationError, match="unsuitable certificate purpose"):
            believed(shown, client=client)


def signing_component() -> Credentials:
    return replace(good_names(MALLORY), is_authority=True).shown(KEY)


def the_intermediate_itself() -> Credentials:
    return chain(KEY)


def the_root_itself() -> Credentials:
    return chain(SET.root)


def a_key_of_nobodys() -> Credentials:
    """Good names, and a signature of the very key that the certificate is for."""
    key = new_key()
    return good_names(MALLORY).shown(replace(KEY, key=key))


@pytest.mark.parametrize(
    "show", [signing_component, the_intermediate_itself, the_root_itself, a_key_of_nobodys]
)
def test_a_certificate_in_the_wrong_place_is_nobody(show: Callable[[], Credentials]) -> None:
    refused_by_both(show())


def usage(**powers: bool) -> x509.KeyUsage:
    none = dict.fromkeys(
        (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    return x509.KeyUsage(**(none | powers))


def leaf_with(usage: x509.KeyUsage, *, is_authority: bool = False) -> Authority:
    """A component's certificate but for its key usage, and for what it says of signing others."""
    key = new_key()
    good = own_leaf(KEY, identity=MALLORY, clock=lambda: SET.now)
    pattern = x509.load_pem_x509_certificates(good.chain_pem)[0]
    builder = (
        x509.CertificateBuilder()
        .subject_name(pattern.subject)
        .issuer_name(pattern.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(pattern.not_valid_before_utc)
        .not_valid_after(pattern.not_valid_after_utc)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(KEY.key.public_key()), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(BOTH), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(MALLORY.uri)]), critical=False
        )
    )
    return Authority(builder.sign(KEY.key, hashes.SHA256()), key)


def test_a_certificate_that_may_sign_no_handshake_is_nobody() -> None:
    """OpenSSL takes keyAgreement for enough; who has the issuer's key gains nothing by that."""
    good = leaf_with(usage(digital_signature=True))
    assert believed(chain(good, KEY), client=True) == MALLORY.uri
    for powers in ({"key_cert_sign": True}, {"content_commitment": True}):
        with pytest.raises((ssl.SSLError, PeerRefused)):
            believed(chain(leaf_with(usage(**powers)), KEY), client=True)


def test_a_component_that_may_sign_others_too_lets_nobody_else_in() -> None:
    """It is believed for itself at most: whatever it signs is one certificate too far below its issuer."""
    powers = usage(digital_signature=True, key_cert_sign=True)
    both = leaf_with(powers, is_authority=True)
    for other in (MALLORY, identity("east")):
        refused_by_both(chain(good_names(other).signed_by(both), both, KEY))


def evicted(*, key: str) -> dict[str, Trust]:
    """Each way in which `key` may be refused."""
    entry = SET.refused("mallory", why="it was stolen")
    entry = type(entry)(key=key, cluster="mallory", since=entry.since, why=entry.why)
    here = LocalRefusal(cluster="mallory", keys=(key,), why="it was stolen")
    return {
        "everywhere": replace(TRUST, refused={key: entry}),
        "everywhere, and in the roster all the same": replace(rostered("mallory"), refused={key: entry}),
        "without any roster": Trust(roots=ROOTS, refused={key: entry}),
        "here": replace(TRUST, refused_here={"mallory": here}),
        "here, whatever its key": replace(
            TRUST, refused_here={"mallory": LocalRefusal(cluster="mallory", why="it was stolen")}
        ),
    }


@pytest.mark.parametrize(
    "trust", [pytest.param(trust, id=how) for how, trust in evicted(key=SET.key("mallory")).items()]
)
def test_an_evicted_member_that_returns_is_refused_and_told_why_ruling_1(trust: Trust) -> None:
    refused_by_both(SET.credentials("mallory"), trust=trust, why=r"evicted.*it was stolen")
    assert believed(SET.credentials("west"), client=True, trust=replace(trust, roster=None))


def test_a_refused_root_is_believed_for_nobody() -> None:
    (root,) = ROOTS
    entry = type(SET.refused("mallory"))(key=root, cluster="the root")
    refused_by_both(SET.credentials("mallory"), trust=replace(TRUST, refused={root: entry}), why="evicted")


def test_an_intermediate_that_the_roster_does_not_know_is_nobody_though_the_root_signed_it() -> None:
    refused_by_both(SET.credentials("north"), why="does not know north at all")


def test_a_second_key_for_a_members_id_is_nobody_though_the_root_signed_it_ruling_29() -> None:
    """A root that was used twice, or a certificate from before the member was rebuilt."""
    key = new_key()
    twin = Authority(SET.intermediate("west", of=key.public_key()), key)
    shown = own_leaf(twin, identity=identity("west"), clock=lambda: SET.now)
    refused_by_both(shown, why="does not know west with another key")


def test_a_member_whose_entry_was_taken_out_of_the_roster_is_nobody() -> None:
    refused_by_both(SET.credentials("mallory"), trust=rostered("east", "west"), why="does not know mallory")

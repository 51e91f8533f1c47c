"""What our certificates and requests say, read back by another library's eyes."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.identity import Component, cluster_id
from mesh_core.lifetimes import Window
from mesh_fakes.clusterset import DOMAIN, FakeClusterset, identity
from mesh_runtime.intermediate import request_name
from mesh_runtime.pem import (
    UnreadablePem,
    certificates_from_pem,
    certificates_to_pem,
    key_from_pem,
    key_to_pem,
)
from mesh_runtime.pki import (
    Authority,
    IssuerNotValid,
    make_intermediate,
    make_leaf,
    make_root,
    new_key,
    window_in,
)
from mesh_runtime.proof import prove
from mesh_runtime.signing_request import BadRequest, make_request, read_request
from mesh_runtime.tls import UnusableCredentials

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEST = identity("west")


def intermediate(root: Authority, *, now: datetime) -> Authority:
    key = new_key()
    certificate = make_intermediate(
        root, cluster=cluster_id("west"), domain=DOMAIN, public_key=key.public_key(), now=now
    )
    return Authority(certificate, key)


def test_lives_are_ten_years_ninety_days_and_a_day() -> None:
    root = make_root(DOMAIN, now=NOW)
    member = intermediate(root, now=NOW)
    leaf = make_leaf(member, identity=WEST, public_key=new_key().public_key(), now=NOW)
    lives = [(window_in(each).end - NOW).days for each in (root.certificate, member.certificate, leaf)]
    assert lives == [3652, 90, 1]
    assert window_in(leaf).start == NOW - timedelta(minutes=5)


def test_nothing_outlives_its_issuer() -> None:
    root = make_root(DOMAIN, now=NOW)
    late = window_in(root.certificate).end - timedelta(days=1)
    member = intermediate(root, now=late)
    assert window_in(member.certificate).end == window_in(root.certificate).end
    later = late + timedelta(hours=23)
    leaf = make_leaf(member, identity=WEST, public_key=new_key().public_key(), now=later)
    assert window_in(leaf) == Window(later - timedelta(minutes=5), window_in(root.certificate).end)


@pytest.mark.parametrize("off", [timedelta(days=-1), timedelta(days=4000)])
def test_an_issuer_that_is_not_good_signs_nothing(off: timedelta) -> None:
    with pytest.raises(IssuerNotValid):
        intermediate(make_root(DOMAIN, now=NOW), now=NOW + off)


def test_two_roots_of_one_domain_have_names_of_their_own() -> None:
    one, two = make_root(DOMAIN, now=NOW), make_root(DOMAIN, now=NOW)
    assert one.certificate.subject != two.certificate.subject
    assert one.certificate.subject == one.certificate.issuer


def test_the_longest_names_fit() -> None:
    clusterset = FakeClusterset()
    long = identity("w" * 63, Component.CONTROLLER)
    credentials = clusterset.credentials("w" * 63, Component.CONTROLLER)
    prove(credentials, identity=long, roots=clusterset.roots)


def test_credentials_for_another_identity_are_not_proven() -> None:
    clusterset = FakeClusterset()
    with pytest.raises(UnusableCredentials, match="/gateway, but we want dns of west"):
        prove(
            clusterset.credentials("west"),
            identity=identity("west", Component.DNS),
            roots=clusterset.roots,
        )


def test_a_request_proves_its_key_and_says_its_wish() -> None:
    key = new_key()
    read = read_request(make_request(key, identity=WEST))
    assert read.public_key == key.public_key()
    assert read.uris == (WEST.uri,)


@pytest.mark.parametrize(
    "pem", [b"", b"\xff", make_request(new_key(), identity=WEST)[:-60], key_to_pem(new_key())]
)
def test_what_is_no_request_is_refused(pem: bytes) -> None:
    with pytest.raises(BadRequest):
        read_request(pem)


def test_the_name_of_a_request_is_that_of_its_key_and_identity() -> None:
    key = new_key().public_key()
    name = request_name(key, identity=WEST)
    assert name == request_name(key, identity=WEST)
    assert len({name, request_name(new_key().public_key(), identity=WEST)}) == 2
    assert name != request_name(key, identity=identity("east"))


def test_keys_and_chains_survive_their_text() -> None:
    clusterset = FakeClusterset()
    key = new_key()
    assert key_from_pem(key_to_pem(key), what="key").public_key() == key.public_key()
    chain = (clusterset.member("west").certificate, clusterset.root.certificate)
    assert certificates_from_pem(certificates_to_pem(chain), what="chain") == chain


@pytest.mark.parametrize("pem", [b"", b"nonsense", key_to_pem(ec.generate_private_key(ec.SECP384R1()))])
def test_another_key_is_refused_by_name(pem: bytes) -> None:
    with pytest.raises(UnreadablePem, match=r"root\.key cannot be read"):
        key_from_pem(pem, what="root.key")


def test_no_certificates_are_refused_by_name() -> None:
    with pytest.raises(UnreadablePem, match="the chain cannot be read"):
        certificates_from_pem(b"", what="the chain")


def test_a_leaf_names_no_service() -> None:
    """Ruling 4: a service name in a leaf would break the name constraint, also for its good names."""
    chain = certificates_from_pem(
        FakeClusterset().credentials("west", Component.CONTROLLER).chain_pem, what="chain"
    )
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "controller.west.clusterset.internal",
        "peer.west.clusterset.internal",
    ]
    assert len(list(names)) == 3

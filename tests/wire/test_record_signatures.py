"""Signatures of records: real chains, and everybody who might show one that is not the peer's."""

import base64
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.identity import Component, Identity
from mesh_core.peer_wire import record_bytes
from mesh_core.record_signature import signed_bytes
from mesh_core.trust import OPEN, Trust
from mesh_fakes.clusterset import DOMAIN, FakeClusterset, identity
from mesh_fakes.exports import record
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import Authority, make_leaf, new_key
from mesh_runtime.record_signing import ChainVerifier, LeafSignature, signer_of

CLUSTERSET = FakeClusterset()
WEST = identity("west", Component.CONTROLLER)
RECORD = bytes(record_bytes(record("west")))


@dataclass(slots=True)
class Believing:
    """What east believes now."""

    roots: tuple[str, ...] = CLUSTERSET.roots
    trust: Trust = OPEN


def verifier(
    *, after: timedelta = timedelta(), expected: Identity = WEST, beliefs: Believing | None = None
) -> ChainVerifier:
    """East's, who listens to west."""
    believing = beliefs or Believing()
    return ChainVerifier(
        expected=expected, beliefs=lambda: believing, clock=lambda: datetime.now(UTC) + after
    )


def signer(
    cluster: str = "west", component: Component = Component.CONTROLLER, of: FakeClusterset = CLUSTERSET
) -> LeafSignature:
    return signer_of(of.credentials(cluster, component))


def pem(*certificates: x509.Certificate) -> tuple[str, ...]:
    return tuple(certificates_to_pem((one,)).decode() for one in certificates)


def test_a_signature_of_the_peers_controller_holds_and_names_its_leaf() -> None:
    ours, theirs = verifier(), signer()
    assert ours.leaf == ""
    assert not ours.holds(RECORD, signature=theirs.sign(RECORD)), "nobody was shown yet"
    assert ours.adopt(theirs.chain) == ""
    leaf = x509.load_pem_x509_certificate(theirs.chain[0].encode())
    assert ours.leaf == leaf.fingerprint(hashes.SHA256()).hex()
    assert ours.holds(RECORD, signature=theirs.sign(RECORD))


def test_the_signature_is_what_the_document_says() -> None:
    """Checked with nothing of ours: ECDSA, SHA-256, DER, base64, over the context and the record."""
    theirs = signer()
    key = x509.load_pem_x509_certificate(theirs.chain[0].encode()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    text = base64.b64decode(theirs.sign(RECORD))
    key.verify(text, b"meshctl-record/1\0" + RECORD, ec.ECDSA(hashes.SHA256()))
    assert signed_bytes(b"x") == b"meshctl-record/1\0x"


def test_a_chain_that_ends_with_the_root_is_one_too() -> None:
    theirs = signer()
    assert verifier().adopt((*theirs.chain, *CLUSTERSET.roots)) == ""


def test_another_record_another_key_and_noise_do_not_hold() -> None:
    ours, theirs = verifier(), signer()
    ours.adopt(theirs.chain)
    good = theirs.sign(RECORD)
    assert not ours.holds(RECORD + b" ", signature=good)
    assert not ours.holds(RECORD, signature=signer().sign(RECORD)), "a leaf that was not shown"
    for noise in ("", "!", "c2ln", good[:-4], good + good, "é", "A" * 253):
        assert not ours.holds(RECORD, signature=noise)


def _leaf_of_wests_name_below(authority: Authority) -> tuple[str, ...]:
    leaf = make_leaf(authority, identity=WEST, public_key=new_key().public_key(), now=CLUSTERSET.now)
    return pem(leaf, authority.certificate)


def _below_a_leaf() -> tuple[str, ...]:
    """West's gateway signs as if its leaf were an intermediate."""
    key = new_key()
    leaf = make_leaf(
        CLUSTERSET.member("west"),
        identity=identity("west", Component.GATEWAY),
        public_key=key.public_key(),
        now=CLUSTERSET.now,
    )
    below = make_leaf(
        Authority(leaf, key), identity=WEST, public_key=new_key().public_key(), now=CLUSTERSET.now
    )
    return pem(below, leaf, CLUSTERSET.member("west").certificate)


CHAINS: dict[str, tuple[tuple[str, ...], str]] = {
    "another member": (signer("north").chain, "not bound to west"),
    "another component": (signer(component=Component.GATEWAY).chain, "/gateway and not"),
    "another root": (signer(of=FakeClusterset()).chain, "root of ours"),
    "the leaf alone": (signer().chain[:1], "root of ours"),
    "the wrong order": (signer().chain[::-1], "root of ours"),
    "west's name below another member": (_leaf_of_wests_name_below(CLUSTERSET.member("north")), "not bound"),
    "west's name below the root": (_leaf_of_wests_name_below(CLUSTERSET.root), "not one"),
    "west's name below a leaf": (_below_a_leaf(), "may not sign others"),
    "an intermediate as leaf": (pem(CLUSTERSET.member("west").certificate), "not one"),
    "the root alone": (CLUSTERSET.roots, "does not read"),
    "no certificate": (("hello",), "does not read"),
    "nothing": ((), "does not read"),
    "two leaves": ((signer().chain[0], *signer().chain), "not one"),
}


@pytest.mark.parametrize(("chain", "said"), CHAINS.values(), ids=CHAINS)
def test_whoever_else_shows_a_chain_is_refused(chain: tuple[str, ...], said: str) -> None:
    ours, theirs = verifier(), signer()
    ours.adopt(theirs.chain)
    assert said in ours.adopt(chain)
    assert ours.holds(RECORD, signature=theirs.sign(RECORD)), "who was believed before still is"


@pytest.mark.parametrize("after", [timedelta(days=2), timedelta(days=-2), timedelta(days=3000)])
def test_a_chain_counts_only_while_it_is_good(after: timedelta) -> None:
    assert "not good now" in verifier(after=after).adopt(signer().chain)


def test_the_key_shows_nowhere_and_equal_chains_are_one_signer() -> None:
    theirs = signer()
    # Not "key" alone: base64 has that by chance.
    assert "privatekey" not in repr(theirs).lower().replace(" ", "")
    assert replace(theirs, chain=theirs.chain) == theirs
    assert signer() != theirs
    assert theirs.chain[1:] == signer().chain[1:]
    assert DOMAIN in WEST.uri


_P256 = bytes.fromhex("06082a8648ce3d030107")
_EC = bytes.fromhex("06072a8648ce3d0201")
_V3 = bytes.fromhex("a003020102")


@pytest.mark.parametrize("which", [0, 1], ids=["leaf", "issuer"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (_P256, bytes.fromhex("06082a8648ce3d03010f")),
        (_EC, bytes.fromhex("06072a8648ce3d020f")),
        (_V3, bytes.fromhex("a003020109")),
    ],
    ids=["unknown curve", "unknown kind of key", "version 9"],
)
def test_a_certificate_that_the_library_cannot_take_is_a_bad_chain_and_no_crash(
    which: int, old: bytes, new: bytes
) -> None:
    """Each of these ended the leading controller of every member once."""
    chain = list(signer().chain)
    der = base64.b64decode("".join(chain[which].splitlines()[1:-1]))
    assert old in der
    text = base64.encodebytes(der.replace(old, new, 1)).decode()
    chain[which] = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"
    assert verifier().adopt(tuple(chain)) != ""

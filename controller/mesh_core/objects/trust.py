"""TrustBundle, meshctl.dev/v1alpha1, and the two signed texts in it (ruling 1).

A signed text is carried byte by byte as it was signed, so that a member that does not know one of its
fields still checks and passes on the whole. Keys are named by `KeyId`: the SHA-256 of the public key
(DER SubjectPublicKeyInfo), 64 hexadecimal digits. Times are RFC 3339 in UTC.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from mesh_core.objects.meta import Condition, KubernetesObject

MOST_MEMBERS = 256
LONGEST_TEXT = 600_000
"""Bytes of a signed text; two fit in one object of etcd (1.5 MiB), one in a frame of the peers' stream."""

KeyId = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Pem = Annotated[str, Meta(max_length=8192)]
Name = Annotated[str, Meta(max_length=253)]
Words = Annotated[str, Meta(max_length=500)]

Phase = Literal["Publish", "Reissue", "Withdraw"]


class RootEntry(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """A root certificate and the KeyId of its key."""

    key: KeyId
    certificate: Pem


class RosterEntry(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """A member: its id, the keys that its intermediates may have, and the intermediates themselves.

    `certificates` are what the root has signed for these keys, the newest last; a member takes its own from
    here. `uid` is that of its namespace kube-system, "" when it is not known. What the member says was made
    before `admitted` counts as made then (ruling 11).
    """

    cluster: Name
    keys: Annotated[tuple[KeyId, ...], Meta(min_length=1, max_length=4)]
    uid: Name = ""
    admitted: Name = ""
    certificates: Annotated[tuple[Pem, ...], Meta(max_length=4)] = ()


class IssuerEntry(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Who may let clusters in, below `<pool>.<domain>` (ruling 2); cluster `holder` has its key."""

    key: KeyId
    pool: Name
    holder: Name
    certificate: Pem


class RefusedKey(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """A key of an intermediate or issuer that nobody believes any more; `cluster` had it."""

    key: KeyId
    cluster: Name
    since: Name = ""
    why: Words = ""


class Rotation(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """The change to root `root`, and how far it is.

    Publish: both roots are believed. Reissue: every member shows the intermediate below the new one that its
    roster entry holds. Withdraw: the old root is not believed any more.
    """

    phase: Phase
    root: KeyId
    since: Name = ""
    deadline: Name = ""


class Statement(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """All that a clusterset's root says: complete, numbered, signed by every root that can still sign.

    `revokers` are public keys (PEM) that may sign `Revocations`. `generation` only grows.
    """

    domain: Name
    generation: Annotated[int, Meta(ge=1, lt=1 << 53)]
    roots: Annotated[tuple[RootEntry, ...], Meta(min_length=1, max_length=8)]
    roster: Annotated[tuple[RosterEntry, ...], Meta(max_length=MOST_MEMBERS)]
    issued: Name = ""
    issuers: Annotated[tuple[IssuerEntry, ...], Meta(max_length=64)] = ()
    refused: Annotated[tuple[RefusedKey, ...], Meta(max_length=1024)] = ()
    revokers: Annotated[tuple[Pem, ...], Meta(max_length=8)] = ()
    rotation: Rotation | None = None


class Revocations(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Keys refused beside those of the statement, by a revoker or a root; `number` only grows."""

    domain: Name
    number: Annotated[int, Meta(ge=1, lt=1 << 53)]
    issued: Name = ""
    refused: Annotated[tuple[RefusedKey, ...], Meta(max_length=1024)] = ()


class Signature(Struct, frozen=True, rename="camel", kw_only=True):
    """ECDSA P-256 with SHA-256 over the context and the text, DER in base64."""

    key: KeyId
    value: Annotated[str, Meta(max_length=200)]


class Signed(Struct, frozen=True, rename="camel", kw_only=True):
    """A text as it was signed: JSON of a `Statement` or of `Revocations`."""

    text: Annotated[str, Meta(max_length=LONGEST_TEXT)]
    signatures: Annotated[tuple[Signature, ...], Meta(max_length=16)] = ()


class LocalRefusal(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """A cluster that was evicted from this one alone; without `keys`, whatever key its id is shown with."""

    cluster: Name
    keys: tuple[KeyId, ...] = ()
    since: Name = ""
    why: Words = ""


class TrustBundleSpec(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """What this cluster's operator says it trusts.

    `roots` (PEM, one certificate each) and `generation` repeat the statement's, or stand alone in a bundle
    that nobody signed. `pins` are keys of roots that an invitation named and whose statement is not here yet.
    `pool` is that of the issuer that let this cluster in, "" where the root itself did.
    """

    domain: str
    pool: str = ""
    generation: int = 0
    roots: tuple[str, ...] = ()
    statement: Signed | None = None
    revocations: Signed | None = None
    pins: tuple[KeyId, ...] = ()
    refused_here: tuple[LocalRefusal, ...] = ()


class TrustBundleStatus(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """What the controller took from peers because it is newer than the spec, and what holds now."""

    generation: int = 0
    revision: int = 0
    statement: Signed | None = None
    revocations: Signed | None = None
    conditions: tuple[Condition, ...] = ()


class TrustBundle(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """What this cluster trusts; the one object is named `clusterset`."""

    spec: TrustBundleSpec
    status: TrustBundleStatus = TrustBundleStatus()

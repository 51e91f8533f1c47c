"""The folder of whoever holds a clusterset's root: keys, certificates, who is a member, and what was signed.

    <folder>/                    0700
      root.key                   0600   PKCS #8 PEM, perhaps encrypted; may be kept elsewhere till needed
      root.crt                          PEM
      clusterset.json                   {"domain": ..., "members": {cluster id: UID of kube-system}}
      statement.json                    the newest statement that was signed or taken here, as signed
      next-root.key, .crt        0600   while the root is being changed
      old-root.key, .crt         0600   the root before; it signs too, so that whoever slept can follow
      revoker.key                0600   optional: may evict, and nothing else

1. A key is never overwritten, and is refused when others may read its file (`secret_file`).
2. What changes is put in place by a rename, so it is whole at any time.
3. A cluster id belongs to the first cluster that took it, told by the UID of its kube-system namespace.
4. Two runs at a time do not lose each other's changes: they are made under a lock on the folder.

What is signed next is decided in `mesh_core.roster`, and kept by `trust_book`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, ValidationError

from mesh_core.errors import MeshError, UserError
from mesh_core.identity import ClusterId, Domain, InvalidName, cluster_id, domain
from mesh_core.objects.trust import Signed, Statement
from mesh_core.trust_statement import BadTrust, Held, read_statement
from mesh_runtime.pem import (
    UnreadablePem,
    certificates_from_pem,
    certificates_to_pem,
    same_key,
)
from mesh_runtime.pki import Authority, make_root
from mesh_runtime.root_change import finish_change_of_root
from mesh_runtime.secret_file import DISK, Files, Passphrase, create_key, key_in, no_passphrase
from mesh_runtime.trust_folder import (
    CLUSTERSET,
    NEXT_CERTIFICATE,
    NEXT_KEY,
    OLD_CERTIFICATE,
    OLD_KEY,
    ROOT_CERTIFICATE,
    ROOT_KEY,
    STATEMENT,
    TrustFolderError,
    locked,
)
from mesh_runtime.trust_signing import key_id_of, keys_of, signers

NOTHING = Held()
"""Nobody has signed anything yet."""


class RootKeyAway(UserError):
    """What was asked for needs the root's key, and that is kept elsewhere."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"this needs the root's key, and {path} is not there",
            next_step="put the key back for as long as this takes; meshctl trust status does without it, and "
            "meshctl trust evict with a revoker's key",
        )


class ClusterIdTaken(UserError):
    """Another cluster has that id."""

    def __init__(self, cluster: ClusterId, *, holder: str) -> None:
        super().__init__(
            f"the cluster id {cluster} belongs to another cluster (kube-system UID {holder})",
            next_step="choose another id for this cluster, or evict the other first: meshctl trust evict "
            f"{cluster}",
        )


@dataclass(frozen=True, slots=True)
class PublicTrust:
    """What the folder says without any private key.

    `members` maps cluster ids to UIDs of their kube-system namespaces. `held` is the newest statement.
    `learned` are the intermediates (PEM) of members, kept until there is a first statement.
    `others` are the certificates of the next root and of the one before, as far as there are any.
    """

    folder: Path
    domain: Domain
    certificate: x509.Certificate
    members: Mapping[ClusterId, str]
    held: Held = NOTHING
    learned: Mapping[ClusterId, str] = field(default_factory=dict)
    others: tuple[x509.Certificate, ...] = ()

    @property
    def root_pem(self) -> str:
        """The root certificate as the TrustBundle carries it."""
        return certificates_to_pem((self.certificate,)).decode()

    @property
    def known_roots(self) -> tuple[str, ...]:
        """All root certificates of the folder (PEM), the present one first."""
        return (self.root_pem, *(certificates_to_pem((one,)).decode() for one in self.others))


@dataclass(frozen=True, slots=True)
class TrustDir(PublicTrust):
    """The same with the root's key. `following` and `former` are the next root and the one before.

    Both are None where they, or their keys, are not there.
    """

    root: Authority = field(kw_only=True)
    following: Authority | None = None
    former: Authority | None = None

    @property
    def signing_keys(self) -> list[ec.EllipticCurvePrivateKey]:
        """The keys that sign a statement: of every root that is here."""
        return [one.key for one in self.roots.values()]

    @property
    def roots(self) -> dict[str, Authority]:
        """All roots whose keys are here, by KeyId."""
        here = (one for one in (self.root, self.following, self.former) if one is not None)
        return {key_id_of(one.key.public_key()): one for one in here}

    @property
    def issuing(self) -> Authority:
        """The root that signs intermediates now: once members show the next root's, that one."""
        statement = self.held.statement
        if statement is None:
            return self.root
        rotation = statement.rotation
        if rotation is not None and rotation.phase != "Publish":
            return self.roots.get(rotation.root, self.root)
        in_force = {root.key for root in statement.roots}
        return next((one for key, one in self.roots.items() if key in in_force), self.root)


class _Clusterset(BaseModel):
    """clusterset.json; people may look at it and mend it, so it is checked like any input."""

    model_config = ConfigDict(extra="forbid", strict=True)

    domain: str
    members: dict[str, str]
    intermediates: dict[str, str] | None = None


def init_trust_dir(
    folder: Path, *, domain: Domain, now: datetime, passphrase: bytes = b"", files: Files = DISK
) -> TrustDir:
    """Make a new root in `folder`, which must not exist or be empty; raises TrustFolderError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise TrustFolderError(
                f"{folder} is not empty", next_step="give a new folder; a root is never overwritten"
            )
        folder.chmod(0o700)
        root = make_root(domain, now=now)
        create_key(folder / ROOT_KEY, key=root.key, passphrase=passphrase, files=files)
        files.put(folder / ROOT_CERTIFICATE, content=certificates_to_pem((root.certificate,)))
        # Last: a folder with clusterset.json is a whole one.
        made = TrustDir(folder=folder, domain=domain, certificate=root.certificate, members={}, root=root)
        write_clusterset(made, files=files)
    except OSError as error:
        raise TrustFolderError(
            f"{folder} cannot be written ({error.strerror})", next_step="give another folder"
        ) from error
    return made


def read_trust_dir(folder: Path) -> PublicTrust:
    """What the folder says; raises TrustFolderError."""
    try:
        clusterset = _Clusterset.model_validate_json((folder / CLUSTERSET).read_bytes())
        certificate = _certificate(folder / ROOT_CERTIFICATE)
        others = [folder / name for name in (NEXT_CERTIFICATE, OLD_CERTIFICATE)]
        learned = clusterset.intermediates or {}
        return PublicTrust(
            folder=folder,
            domain=domain(clusterset.domain),
            certificate=certificate,
            members={cluster_id(name): uid for name, uid in clusterset.members.items()},
            held=_statement_in(folder, domain=clusterset.domain),
            learned={cluster_id(name): pem for name, pem in learned.items()},
            others=tuple(_certificate(path) for path in others if path.exists()),
        )
    except FileNotFoundError as error:
        raise TrustFolderError(
            f"{folder} holds no clusterset's root", next_step="make one with meshctl trust init"
        ) from error
    except (OSError, ValidationError, UnreadablePem, InvalidName, msgspec.MsgspecError) as error:
        raise TrustFolderError(
            f"{folder} cannot be read ({_first_line(error)})", next_step="restore it from a copy"
        ) from error


def load_trust_dir(folder: Path, *, passphrase: Passphrase = no_passphrase, files: Files = DISK) -> TrustDir:
    """The folder with its keys.

    Raises TrustFolderError, RootKeyAway, OpenToOthers, PassphraseNeeded, WrongPassphrase.
    """
    finish_change_of_root(folder, files=files)
    trust = read_trust_dir(folder)
    root = authority(folder, key=ROOT_KEY, certificate=trust.certificate, passphrase=passphrase)
    if root is None:
        raise RootKeyAway(folder / ROOT_KEY)
    following, former = (
        authority(folder, key=key, certificate=_certificate(folder / crt), passphrase=passphrase)
        if (folder / crt).exists()
        else None
        for key, crt in ((NEXT_KEY, NEXT_CERTIFICATE), (OLD_KEY, OLD_CERTIFICATE))
    )
    return TrustDir(
        folder=folder,
        domain=trust.domain,
        certificate=trust.certificate,
        members=trust.members,
        held=trust.held,
        learned=trust.learned,
        others=trust.others,
        root=root,
        following=following,
        former=former,
    )


def authority(
    folder: Path, *, key: str, certificate: x509.Certificate, passphrase: Passphrase
) -> Authority | None:
    """The certificate with the key in that file, None when it is not there; raises as `load_trust_dir`."""
    path = folder / key
    try:
        found = key_in(path, passphrase=passphrase)
    except FileNotFoundError:
        return None
    except (OSError, UnreadablePem) as error:
        raise TrustFolderError(
            f"{folder} cannot be read ({_first_line(error)})", next_step="restore it from a copy"
        ) from error
    if not same_key(found.public_key(), certificate.public_key()):
        raise TrustFolderError(
            f"{key} and {key.removesuffix('.key')}.crt in {folder} do not belong together",
            next_step="restore them from a copy",
        )
    return Authority(certificate, found)


def record_member(folder: Path, *, cluster: ClusterId, uid: str, files: Files = DISK) -> PublicTrust:
    """Note that `cluster` is the cluster whose kube-system namespace has `uid`; the folder as it is then.

    Does nothing when that is noted already. Raises ClusterIdTaken when another UID holds the id, and
    TrustFolderError.
    """
    with locked(folder):
        trust = read_trust_dir(folder)
        holder = trust.members.get(cluster, uid)
        if holder != uid:
            raise ClusterIdTaken(cluster, holder=holder)
        if cluster in trust.members:
            return trust
        return write_clusterset(trust, members={**trust.members, cluster: uid}, files=files)


def write_clusterset(
    trust: PublicTrust,
    *,
    members: Mapping[ClusterId, str] | None = None,
    learned: Mapping[ClusterId, str] | None = None,
    files: Files = DISK,
) -> PublicTrust:
    """clusterset.json anew, under the caller's lock; the folder as it is then. Raises TrustFolderError."""
    known = dict(sorted((trust.members if members is None else members).items()))
    certificates = dict(sorted((trust.learned if learned is None else learned).items()))
    content = _Clusterset(
        domain=trust.domain,
        members={str(name): uid for name, uid in known.items()},
        intermediates={str(name): pem for name, pem in certificates.items()} or None,
    )
    text = content.model_dump_json(indent=2, exclude_none=True) + "\n"
    try:
        files.put(trust.folder / CLUSTERSET, content=text.encode())
    except OSError as error:
        raise TrustFolderError(
            f"{trust.folder} cannot be written ({error.strerror})",
            next_step="make it writable: it keeps which cluster has which id",
        ) from error
    return PublicTrust(
        folder=trust.folder,
        domain=trust.domain,
        certificate=trust.certificate,
        members=known,
        held=trust.held,
        learned=certificates,
        others=trust.others,
    )


def _certificate(path: Path) -> x509.Certificate:
    return certificates_from_pem(path.read_bytes(), what=path.name)[0]


def _statement_in(folder: Path, *, domain: str) -> Held:
    """The statement of the folder, with a signature of a root of the folder; raises TrustFolderError."""
    path = folder / STATEMENT
    if not path.exists():
        return Held()
    kept = msgspec.json.decode(path.read_bytes(), type=Signed)
    names = (ROOT_CERTIFICATE, NEXT_CERTIFICATE, OLD_CERTIFICATE)
    roots = [(folder / name).read_text() for name in names if (folder / name).exists()]
    try:
        statement = read_statement(kept.text)
    except BadTrust as error:
        raise TrustFolderError(f"{path}: {error.what}", next_step="restore it from a copy") from error
    if statement.domain != domain or not signers(kept, kind=Statement, keys=keys_of(roots)):
        raise TrustFolderError(
            f"{path} was not signed by the root of this folder", next_step="restore it from a copy"
        )
    return Held(statement=statement, signed_statement=kept)


def _first_line(error: MeshError | OSError | ValueError | msgspec.MsgspecError) -> str:
    return str(error).partition("\n")[0]

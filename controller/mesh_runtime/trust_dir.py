"""The folder of whoever holds a clusterset's root: key, certificate, and who is a member.

    <folder>/                0700
      root.key               0600   PKCS #8 PEM; the one secret of the whole clusterset
      root.crt                      PEM
      clusterset.json               {"domain": "...", "members": {cluster id: UID of kube-system}}

1. Nothing is ever overwritten but clusterset.json, and that by a rename, so it is whole at any time.
2. A cluster id belongs to the first cluster that took it, told by the UID of its kube-system namespace.
3. Two runs at a time do not lose each other's members: changes are made under a lock on the folder.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mesh_core.errors import MeshError, UserError
from mesh_core.identity import ClusterId, Domain, InvalidName, cluster_id, domain
from mesh_runtime.pem import (
    UnreadablePem,
    certificates_from_pem,
    certificates_to_pem,
    key_from_pem,
    key_to_pem,
    same_key,
)
from mesh_runtime.pki import Authority, make_root

ROOT_KEY = "root.key"
ROOT_CERTIFICATE = "root.crt"
CLUSTERSET = "clusterset.json"


class TrustFolderError(UserError):
    """The folder of the root is not there, not whole, or not free."""


class ClusterIdTaken(UserError):
    """Another cluster has that id."""

    def __init__(self, cluster: ClusterId, *, holder: str) -> None:
        super().__init__(
            f"the cluster id {cluster} belongs to another cluster (kube-system UID {holder})",
            next_step="choose another id for this cluster",
        )


@dataclass(frozen=True, slots=True)
class TrustDir:
    """What the folder holds. `members` maps cluster ids to UIDs of their kube-system namespaces."""

    domain: Domain
    root: Authority
    members: dict[ClusterId, str]

    @property
    def root_pem(self) -> str:
        """The root certificate as the TrustBundle carries it."""
        return certificates_to_pem((self.root.certificate,)).decode()


class _Clusterset(BaseModel):
    """clusterset.json; people may look at it and mend it, so it is checked like any input."""

    model_config = ConfigDict(extra="forbid", strict=True)

    domain: str
    members: dict[str, str]


def init_trust_dir(folder: Path, *, domain: Domain, now: datetime) -> TrustDir:
    """Make a new root in `folder`, which must not exist or be empty; raises TrustFolderError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise TrustFolderError(
                f"{folder} is not empty", next_step="give a new folder; a root is never overwritten"
            )
        folder.chmod(0o700)
        root = make_root(domain, now=now)
        _write_new(folder / ROOT_KEY, key_to_pem(root.key), mode=0o600)
        _write_new(folder / ROOT_CERTIFICATE, certificates_to_pem((root.certificate,)), mode=0o644)
        # Last: a folder with clusterset.json is a whole one.
        made = TrustDir(domain=domain, root=root, members={})
        _write_clusterset(folder, made)
    except OSError as error:
        raise TrustFolderError(
            f"{folder} cannot be written ({error.strerror})", next_step="give another folder"
        ) from error
    return made


def load_trust_dir(folder: Path) -> TrustDir:
    """What `init_trust_dir` made and `record_member` added; raises TrustFolderError."""
    try:
        clusterset = _Clusterset.model_validate_json((folder / CLUSTERSET).read_bytes())
        key = key_from_pem((folder / ROOT_KEY).read_bytes(), what=ROOT_KEY)
        certificate = certificates_from_pem((folder / ROOT_CERTIFICATE).read_bytes(), what=ROOT_CERTIFICATE)[
            0
        ]
        members = {cluster_id(name): uid for name, uid in clusterset.members.items()}
        named = domain(clusterset.domain)
    except FileNotFoundError as error:
        raise TrustFolderError(
            f"{folder} holds no clusterset's root", next_step="make one with meshctl trust init"
        ) from error
    except (OSError, ValidationError, UnreadablePem, InvalidName) as error:
        raise TrustFolderError(
            f"{folder} cannot be read ({_first_line(error)})", next_step="restore it from a copy"
        ) from error
    if not same_key(key.public_key(), certificate.public_key()):
        raise TrustFolderError(
            f"{ROOT_KEY} and {ROOT_CERTIFICATE} in {folder} do not belong together",
            next_step="restore them from a copy",
        )
    return TrustDir(domain=named, root=Authority(certificate, key), members=members)


def record_member(folder: Path, *, cluster: ClusterId, uid: str) -> TrustDir:
    """Note that `cluster` is the cluster whose kube-system namespace has `uid`; the folder as it is then.

    Does nothing when that is noted already. Raises ClusterIdTaken when another UID holds the id, and
    TrustFolderError.
    """
    with _locked(folder):
        trust = load_trust_dir(folder)
        holder = trust.members.get(cluster, uid)
        if holder != uid:
            raise ClusterIdTaken(cluster, holder=holder)
        if cluster in trust.members:
            return trust
        grown = TrustDir(trust.domain, trust.root, {**trust.members, cluster: uid})
        try:
            _write_clusterset(folder, grown)
        except OSError as error:
            raise TrustFolderError(
                f"{folder} cannot be written ({error.strerror})",
                next_step=f"make it writable: it keeps which cluster is {cluster}",
            ) from error
        return grown


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    """A file that did not exist, with its mode from the first byte on, and on disk before we go on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _write_clusterset(folder: Path, trust: TrustDir) -> None:
    members = {str(name): uid for name, uid in sorted(trust.members.items())}
    text = _Clusterset(domain=trust.domain, members=members).model_dump_json(indent=2) + "\n"
    part = folder / f".{CLUSTERSET}.part"
    part.unlink(missing_ok=True)
    _write_new(part, text.encode(), mode=0o644)
    part.rename(folder / CLUSTERSET)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise TrustFolderError(
            f"{folder} holds no clusterset's root", next_step="make one with meshctl trust init"
        ) from error
    try:
        # Held for milliseconds by whoever has it, so waiting needs no limit.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _first_line(error: MeshError | OSError | ValueError) -> str:
    return str(error).partition("\n")[0]

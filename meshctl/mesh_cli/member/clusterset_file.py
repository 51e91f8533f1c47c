"""The file that `meshctl trust export` prints and `meshctl peer add --clusterset` reads."""

from pathlib import Path

import msgspec
import yaml

from mesh_core.errors import UserError
from mesh_core.identity import domain
from mesh_core.objects import PeerClusterset
from mesh_runtime.trust_signing import keys_of

_MOST_ROOTS = 8


class BadClusterset(UserError):
    """A file that says of no clusterset who belongs to it."""

    def __init__(self, what: str) -> None:
        super().__init__(what, next_step="give what meshctl trust export printed in the other clusterset")


def clusterset_text(stated: PeerClusterset) -> str:
    """The file's content."""
    return yaml.safe_dump({"domain": stated.domain, "roots": list(stated.roots)}, sort_keys=False)


def read_clusterset(path: Path) -> PeerClusterset:
    """What the file says; raises BadClusterset, InvalidName."""
    try:
        found = msgspec.convert(yaml.safe_load(path.read_text()), PeerClusterset)
    except (OSError, UnicodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise BadClusterset(f"{path} does not read ({str(error).partition(chr(10))[0]})") from error
    domain(found.domain)
    if not 0 < len(found.roots) <= _MOST_ROOTS or len(keys_of(found.roots)) != len(found.roots):
        raise BadClusterset(f"{path} has no root certificates of P-256 keys, or one twice")
    return found

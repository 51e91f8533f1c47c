"""Bootstrap tokens by which clusters come to the hub: Kubernetes' own, in the group of one ClusterSet.

A token is a Secret of type bootstrap.kubernetes.io/token in kube-system. Who shows it is the user
`system:bootstrap:<id>` to the hub's API server, in the group of its ClusterSet; what that group may do is
said elsewhere.

1. A token opens one ClusterSet, named by its group and by its label; where the two differ it is none.
2. The secret half shows in no repr.
3. Who reads a token learns everything but the secret.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from mesh_core.conditions import rfc3339
from mesh_core.errors import UserError
from mesh_core.objects import Secret
from mesh_core.plan import Json
from mesh_placement.names import (
    ANNOTATION_ACCEPT_AUTOMATICALLY,
    ANNOTATION_CLAIMED_BY,
    LABEL_CLUSTER,
    LABEL_CLUSTERSET,
    TOKEN_GROUP_PREFIX,
)

NAMESPACE: Final = "kube-system"
SECRET_TYPE: Final = "bootstrap.kubernetes.io/token"
USER_PREFIX: Final = "system:bootstrap:"
"""Of the user as whom the hub's API server knows a token's holder; the token's id follows."""

_NAME_PREFIX = "bootstrap-token-"
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_ID_LENGTH, _SECRET_LENGTH = 6, 16
_TEXT = re.compile(rf"([a-z0-9]{{{_ID_LENGTH}}})\.([a-z0-9]{{{_SECRET_LENGTH}}})", re.ASCII)
_ID = re.compile(rf"[a-z0-9]{{{_ID_LENGTH}}}", re.ASCII)
# What the API server takes as an extra group: no dots, which a ClusterSet's name may have.
_SET = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


class BadToken(UserError):
    """What was given as a bootstrap token is none."""

    def __init__(self) -> None:
        super().__init__(
            "this is no token of a hub", next_step="copy it once more as meshctl token create printed it"
        )


class BadTokenSet(UserError):
    """A ClusterSet has a name that no token can say."""

    def __init__(self, cluster_set: str) -> None:
        super().__init__(
            f"a token cannot name the ClusterSet {cluster_set!r}",
            next_step="name it with lower-case letters, digits and dashes only, at most 63",
        )


@dataclass(frozen=True, slots=True)
class BootstrapToken:
    """A token as its holder knows it: `id` has 6 characters of [a-z0-9], `secret` 16."""

    id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """As a person passes it on: "id.secret"."""
        return f"{self.id}.{self.secret}"

    @property
    def user(self) -> str:
        """Name of the user that the hub's API server takes its holder for."""
        return f"{USER_PREFIX}{self.id}"


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What the hub knows of a token; `expires` None is never, `claimed_by` "" nobody yet.

    `claimed_by` is "<cluster id>/<fingerprint of its key>", as the hub wrote it at the first claim; `cluster`
    the only id that may come with it, "" for any.
    """

    id: str
    cluster_set: str
    auto_accept: bool
    expires: datetime | None
    claimed_by: str
    cluster: str = ""

    def is_living(self, *, now: datetime) -> bool:
        """Whether the API server still takes it."""
        return self.expires is None or now < self.expires


def new_token(choose: Callable[[str], str]) -> BootstrapToken:
    """A token of characters that `choose` picks from an alphabet; give it `secrets.choice`."""
    text = "".join(choose(_ALPHABET) for _ in range(_ID_LENGTH + _SECRET_LENGTH))
    return BootstrapToken(id=text[:_ID_LENGTH], secret=text[_ID_LENGTH:])


def parse_token(text: str) -> BootstrapToken:
    """The token in `text`, around which white space counts for nothing; raises BadToken."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise BadToken
    return BootstrapToken(id=found[1], secret=found[2])


def secret_name(token_id: str) -> str:
    """Name of a token's Secret in `NAMESPACE`."""
    return f"{_NAME_PREFIX}{token_id}"


def is_id(text: str) -> bool:
    """Whether a token may have that id."""
    return _ID.fullmatch(text) is not None


def id_of_user(user: str) -> str | None:
    """The id of the token that made somebody the user `user`; None when it was no token."""
    token_id = user.removeprefix(USER_PREFIX)
    return token_id if token_id != user and is_id(token_id) else None


def check_set(cluster_set: str) -> None:
    """Raises BadTokenSet for a ClusterSet that no token can name."""
    if not _SET.fullmatch(cluster_set):
        raise BadTokenSet(cluster_set)


def token_secret(
    token: BootstrapToken, *, cluster_set: str, expires: datetime, auto_accept: bool, cluster: str = ""
) -> Json:
    """The Secret to be created for `token`; `expires` is cut to the second. Raises BadTokenSet.

    With `cluster` it is good for that cluster id alone.
    """
    check_set(cluster_set)
    values = {
        "token-id": token.id,
        "token-secret": token.secret,
        "expiration": rfc3339(expires),
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": TOKEN_GROUP_PREFIX + cluster_set,
        "description": f"A cluster comes into ClusterSet {cluster_set} with it (meshctl token create).",
    }
    return {
        "metadata": {
            "name": secret_name(token.id),
            "namespace": NAMESPACE,
            "labels": {LABEL_CLUSTERSET: cluster_set, **({LABEL_CLUSTER: cluster} if cluster else {})},
            "annotations": {ANNOTATION_ACCEPT_AUTOMATICALLY: "true"} if auto_accept else {},
        },
        "type": SECRET_TYPE,
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()},
    }


def read_token(secret: Secret) -> TokenFacts | None:
    """What is known of the token in `secret`; None when it is none of ours, or makes nobody a user."""
    meta = secret.metadata
    token_id = _value(secret, "token-id")
    cluster_set = meta.labels.get(LABEL_CLUSTERSET, "")
    groups = _value(secret, "auth-extra-groups").split(",")
    is_ours = cluster_set and TOKEN_GROUP_PREFIX + cluster_set in groups
    is_whole = is_id(token_id) and meta.name == secret_name(token_id)
    if not is_ours or not is_whole or _value(secret, "usage-bootstrap-authentication") != "true":
        return None
    try:
        expires = _time(_value(secret, "expiration"))
    except ValueError:
        return None  # the API server takes such a one for expired
    return TokenFacts(
        id=token_id,
        cluster_set=cluster_set,
        auto_accept=meta.annotations.get(ANNOTATION_ACCEPT_AUTOMATICALLY) == "true",
        expires=expires,
        claimed_by=meta.annotations.get(ANNOTATION_CLAIMED_BY, ""),
        cluster=meta.labels.get(LABEL_CLUSTER, ""),
    )


def _value(secret: Secret, key: str) -> str:
    try:
        return base64.b64decode(secret.data.get(key, ""), validate=True).decode()
    except ValueError:
        return ""


def _time(text: str) -> datetime | None:
    if not text:
        return None
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(text)
    return time.astimezone(UTC)

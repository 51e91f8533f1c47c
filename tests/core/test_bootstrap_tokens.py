"""Bootstrap tokens of a hub: what is written is read, by whoever reads it, and a stranger's is not ours."""

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.objects import Secret
from mesh_placement.decide.bootstrap_token import (
    BadToken,
    BadTokenSet,
    BootstrapToken,
    TokenFacts,
    id_of_user,
    new_token,
    parse_token,
    read_token,
    token_secret,
)
from mesh_placement.names import ANNOTATION_CLAIMED_BY, LABEL_CLUSTERSET

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TOKEN = BootstrapToken(id="abc123", secret="0123456789abcdef")
# A Secret as JSON, hence Any.
Body = dict[str, Any]


def body() -> Body:
    return token_secret(TOKEN, cluster_set="prod", expires=NOON, auto_accept=False)


def read(secret: Body) -> TokenFacts | None:
    return read_token(msgspec.convert(secret, Secret))


@given(cluster_set=st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True), auto=st.booleans())
def test_a_token_that_was_written_is_read(cluster_set: str, auto: bool) -> None:
    token = new_token(secrets.choice)
    written = token_secret(token, cluster_set=cluster_set, expires=NOON, auto_accept=auto)
    expected = TokenFacts(token.id, cluster_set=cluster_set, auto_accept=auto, expires=NOON, claimed_by="")
    assert read(written) == expected
    assert parse_token(f" {token.text}\n") == token
    assert id_of_user(token.user) == token.id


def test_the_api_server_takes_it_for_a_user_in_the_group_of_its_set() -> None:
    secret = body()
    said = {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}
    assert secret["metadata"]["name"] == "bootstrap-token-abc123"
    assert secret["metadata"]["namespace"] == "kube-system"
    assert secret["type"] == "bootstrap.kubernetes.io/token"
    assert said["auth-extra-groups"] == "system:bootstrappers:meshctl:prod"
    assert said["expiration"] == "2026-05-01T12:00:00Z"
    assert (said["token-id"], said["token-secret"]) == ("abc123", "0123456789abcdef")


def test_a_token_is_good_until_it_expires_and_shows_its_secret_to_nobody() -> None:
    facts = read(body())
    assert facts is not None
    assert facts.is_living(now=NOON - timedelta(seconds=1)) and not facts.is_living(now=NOON)
    assert TOKEN.secret not in repr(TOKEN) + repr(facts)


def test_who_claimed_a_token_stands_on_it() -> None:
    secret = body()
    secret["metadata"]["annotations"][ANNOTATION_CLAIMED_BY] = "east-1/sha256:ab"
    facts = read(secret)
    assert facts is not None and facts.claimed_by == "east-1/sha256:ab"


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"name": "bootstrap-token-other0"}},
        {"metadata": {"labels": {}}},
        {"metadata": {"labels": {LABEL_CLUSTERSET: "dev"}}},
        {"data": {"auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token"}},
        {"data": {"usage-bootstrap-authentication": "false"}},
        {"data": {"expiration": "tomorrow"}},
        {"data": {"expiration": "2026-05-01T12:00:00"}},
        {"data": {"token-id": "ABC123"}},
    ],
    ids=lambda change: str(change)[:60],
)
def test_a_secret_that_is_no_token_of_ours_is_none(change: Body) -> None:
    secret = body()
    secret["metadata"].update(change.get("metadata", {}))
    for name, value in change.get("data", {}).items():
        secret["data"][name] = base64.b64encode(value.encode()).decode()
    assert read(secret) is None


def test_a_value_that_is_not_base64_is_no_token() -> None:
    secret = body()
    secret["data"]["token-id"] = "%"
    assert read(secret) is None


@pytest.mark.parametrize(
    "text", ["", "abc123", "abc123.short", "ABC123.0123456789abcdef", "abc123.0123456789abcdeé"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken, match="no token of a hub"):
        parse_token(text)


@pytest.mark.parametrize(
    "user", ["abc123", "system:bootstrap:", "system:bootstrap:abc12", "system:node:abc123"]
)
def test_a_user_who_came_without_a_token_has_none(user: str) -> None:
    assert id_of_user(user) is None


@pytest.mark.parametrize("name", ["", "a.b", "Prod", "-x", "x" * 64])
def test_a_set_that_a_token_cannot_name_is_refused(name: str) -> None:
    with pytest.raises(BadTokenSet, match="cannot name"):
        token_secret(TOKEN, cluster_set=name, expires=NOON, auto_accept=True)

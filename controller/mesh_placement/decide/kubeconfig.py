"""A member's kubeconfig as the hub takes it: one context with everything in it, and nothing that runs.

A kubeconfig may name a program to start (exec), an old plug-in, or files of the machine that reads it. On the
hub each would act with the hub's rights, so what is not plain data is refused.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from mesh_core.errors import UserError

# What a kubeconfig says: JSON values, hence Any.
_Said = Mapping[str, Any]

_RUNS: Final = ("exec", "auth-provider")
_FILES: Final = ("client-certificate", "client-key", "tokenFile", "certificate-authority")
_MOST_BYTES: Final = 64 << 10
"""One with a bundle of CAs has 20 KiB. A parser in Python takes seconds for a few hundred KiB of brackets, in
which the hub does nothing else."""


class BadKubeconfig(UserError):
    """A kubeconfig for Auto that the hub does not use; `reason` is its CamelCase word."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(
            f"the member's kubeconfig is not used ({reason}: {why})",
            next_step="give one with server, CA and a client certificate or token inside it "
            "(meshctl register makes one)",
        )
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Dial:
    """How to reach a member's API server: `ca`, `certificate` and `key` are PEM, b"" where there is none."""

    server: str
    ca: bytes
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)


def read_kubeconfig(text: bytes) -> Dial:
    """The way and the credential of its current (or only) context; raises BadKubeconfig."""
    config = _mapping(_parsed(text), "the file")
    context = _chosen(config)
    cluster = _named(config, "clusters", "cluster", str(context.get("cluster", "")))
    user = _named(config, "users", "user", str(context.get("user", "")))
    for key in (*_RUNS, *_FILES):
        if user.get(key) or cluster.get(key):
            reason = "RunsAProgram" if key in _RUNS else "NamesAFile"
            raise BadKubeconfig(reason, f"it has {key}")
    if cluster.get("insecure-skip-tls-verify") or cluster.get("proxy-url"):
        raise BadKubeconfig("NotVerified", "it skips verification, or leads over a proxy")
    if user.get("username") or user.get("as") or cluster.get("tls-server-name"):
        raise BadKubeconfig("Unsupported", "it has a password, impersonates or names another server")
    server = str(cluster.get("server", ""))
    if not server.startswith("https://"):
        raise BadKubeconfig("NotVerified", "its server is no https:// address")
    dial = Dial(
        server=server.rstrip("/"),
        ca=_data(cluster, "certificate-authority-data"),
        certificate=_data(user, "client-certificate-data"),
        key=_data(user, "client-key-data"),
        token=str(user.get("token") or ""),
    )
    if not dial.ca:
        raise BadKubeconfig("NotVerified", "it has no certificate-authority-data")
    if not dial.token and not (dial.certificate and dial.key):
        raise BadKubeconfig("NoCredential", "its user has neither a token nor a certificate with its key")
    return dial


class _Loader(yaml.SafeLoader):
    """Without aliases, by which a few hundred bytes mean gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


def _parsed(text: bytes) -> object:
    if len(text) > _MOST_BYTES:
        raise BadKubeconfig("Unreadable", "it is too large")
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise BadKubeconfig("Unreadable", "it is no YAML") from None


def _chosen(config: _Said) -> _Said:
    current = config.get("current-context")
    listed = config.get("contexts")
    if not current and isinstance(listed, list) and len(listed) == 1:
        current = _mapping(listed[0], "a context").get("name")
    if not current:
        raise BadKubeconfig("Unreadable", "it has no current-context")
    return _named(config, "contexts", "context", str(current))


def _named(config: _Said, plural: str, kind: str, name: str) -> _Said:
    listed = config.get(plural)
    for entry in listed if isinstance(listed, list) else ():
        one = _mapping(entry, f"an entry of {plural}")
        if one.get("name") == name:
            return _mapping(one.get(kind), f"{kind} {name}")
    raise BadKubeconfig("Unreadable", f"it has no {kind} {name!r}")


def _mapping(value: object, what: str) -> _Said:
    if not isinstance(value, dict):
        raise BadKubeconfig("Unreadable", f"{what} is no mapping")
    return value


def _data(said: _Said, key: str) -> bytes:
    try:
        return base64.b64decode(str(said.get(key) or ""), validate=True)
    except binascii.Error:
        raise BadKubeconfig("Unreadable", f"{key} is not base64") from None

"""Who asks the access proxy: by what a connection has shown, and by the headers of one request.

1. X-Remote-* count on a connection of the hub's own front proxy alone: a certificate below the requestheader
   CA, with one of the names that the hub allows. On any other connection they are as if they were not there.
2. A CA that signs users as well as front proxies makes a front proxy only of the names that are listed: with
   none listed, every user could say who he is.
3. A certificate below the hub's client CA says user and groups: CN and O, as the hub's API server reads it.
4. A bearer token is looked at only where no certificate spoke; what it is worth is asked of the hub.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

Headers = Sequence[tuple[str, str]]
"""Header fields of a request in their order, names in lower case, values as Latin-1 text."""

_BEARER = "bearer "
_AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whom the hub knows; `extra` is sorted by key."""

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A client certificate that was verified. `issuers` are the SHA-256 of the certificates above it (DER),
    `until` is the end of its validity in seconds since 1970."""

    common_name: str
    organisations: tuple[str, ...]
    issuers: frozenset[str]
    until: float


@dataclass(frozen=True, slots=True)
class Believed:
    """Whom the hub believes (kube-system/extension-apiserver-authentication): digests of CAs as in `Shown`,
    and which headers its front proxy writes, in lower case."""

    client_cas: frozenset[str] = frozenset()
    front_cas: frozenset[str] = frozenset()
    front_names: tuple[str, ...] = ()
    user_headers: tuple[str, ...] = ()
    group_headers: tuple[str, ...] = ()
    uid_headers: tuple[str, ...] = ()
    extra_prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token that the hub is to be asked about."""

    text: str = field(repr=False)


def believed(data: Mapping[str, str], *, client_cas: frozenset[str], front_cas: frozenset[str]) -> Believed:
    """The ConfigMap's lists; a list that cannot be read is empty, so that nobody is believed by it."""
    return Believed(
        client_cas=client_cas,
        front_cas=front_cas,
        front_names=_names(data, "requestheader-allowed-names"),
        user_headers=_lower(data, "requestheader-username-headers"),
        group_headers=_lower(data, "requestheader-group-headers"),
        uid_headers=_lower(data, "requestheader-uid-headers"),
        extra_prefixes=_lower(data, "requestheader-extra-headers-prefix"),
    )


def caller_of(shown: Shown | None, headers: Headers, *, rules: Believed, now: float) -> Caller | Token | None:
    """Who asks, or the token to ask the hub about; None for nobody. `now` is seconds since 1970."""
    if shown is not None and now < shown.until:
        if _is_front_proxy(shown, rules=rules):
            told = _told(headers, rules=rules)
            if told is not None:
                return told
        if shown.issuers & rules.client_cas and shown.common_name:
            return Caller(shown.common_name, (*shown.organisations, _AUTHENTICATED))
    for name, value in headers:
        if name == "authorization" and value[: len(_BEARER)].lower() == _BEARER:
            text = value[len(_BEARER) :].strip()
            return Token(text) if text else None
    return None


def _is_front_proxy(shown: Shown, *, rules: Believed) -> bool:
    if not shown.issuers & rules.front_cas:
        return False
    if rules.front_names:
        return shown.common_name in rules.front_names
    return not shown.issuers & rules.client_cas


def _told(headers: Headers, *, rules: Believed) -> Caller | None:
    """Whom the front proxy names; None when it names nobody, or what is no UTF-8."""
    user = next((value for name, value in headers if name in rules.user_headers and value), "")
    groups = [value for name, value in headers if name in rules.group_headers]
    uid = next((value for name, value in headers if name in rules.uid_headers and value), "")
    extra: dict[str, list[str]] = {}
    for name, value in headers:
        for prefix in rules.extra_prefixes:
            if name.startswith(prefix):
                extra.setdefault(unquote(name[len(prefix) :]), []).append(value)
    if not user:
        return None
    try:
        return Caller(
            _text(user),
            tuple(map(_text, groups)),
            _text(uid),
            tuple((key, tuple(map(_text, values))) for key, values in sorted(extra.items())),
        )
    except UnicodeError:
        return None


def _text(value: str) -> str:
    return value.encode("latin-1").decode()


def _names(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    try:
        found = json.loads(data.get(key, "[]"))
    except ValueError:
        return ()
    return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()


def _lower(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    return tuple(name.lower() for name in _names(data, key))

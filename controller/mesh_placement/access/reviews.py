"""What the hub says of a caller: whose a token is (TokenReview), what somebody may (SubjectAccessReview).

Answers are kept for some seconds, a No for less: within them a request asks the hub nothing, and for so long
somebody whose right was taken away still has it. Of a token only its SHA-256 is kept.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec

from mesh_placement.access.kept import Kept
from mesh_placement.decide.access_path import ACCESS_VERSION
from mesh_placement.decide.caller import Caller, Token
from mesh_placement.names import ACCESS_GROUP
from mesh_runtime.kube import BadAnswer, KubeClient

KEPT_SECONDS: Final = 10.0
_NO_SECONDS: Final = 2.0
_TOKENS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESSES: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class _User(msgspec.Struct):
    username: str = ""
    uid: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None


class _TokenStatus(msgspec.Struct):
    authenticated: bool = False
    user: _User | None = None


class _TokenReview(msgspec.Struct):
    status: _TokenStatus


class _AccessStatus(msgspec.Struct):
    allowed: bool = False
    reason: str = ""


class _AccessReview(msgspec.Struct):
    status: _AccessStatus


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who a token is; None: nobody."""

    caller: Caller | None


class Reviews:
    """Asks the hub; `seconds` is how long a Yes is good, 0: asks each time."""

    def __init__(self, kube: KubeClient, *, seconds: float = KEPT_SECONDS) -> None:
        self._kube = kube
        no = min(seconds, _NO_SECONDS)
        self._tokens: Kept[bytes, Verdict] = Kept(seconds=lambda one: seconds if one.caller else no)
        self._rights: Kept[tuple[Caller, str, str], bool] = Kept(seconds=lambda may: seconds if may else no)

    async def who(self, token: Token) -> Caller | None:
        """Whose `token` it is; raises ApiError, Unreachable, BadAnswer."""
        key = hashlib.sha256(token.text.encode("latin-1")).digest()
        known = self._tokens.peek(key) or await self._tokens.get(key, lambda: self._ask_who(token))
        return known.caller

    async def may(self, caller: Caller, *, verb: str, cluster: str) -> bool:
        """Whether he may do `verb` on clusters/proxy `cluster`; raises ApiError, Unreachable, BadAnswer."""
        key = caller, verb, cluster
        known = self._rights.peek(key)
        if known is None:
            known = await self._rights.get(key, lambda: self._ask_may(caller, verb=verb, cluster=cluster))
        return known

    async def _ask_who(self, token: Token) -> Verdict:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token.text},
        }
        raw = await self._kube.request("POST", _TOKENS, body=body)
        try:
            status = msgspec.json.decode(raw, type=_TokenReview).status
        except msgspec.DecodeError as error:
            raise BadAnswer(path=_TOKENS, why=str(error)) from error
        user = status.user
        if not status.authenticated or user is None or not user.username:
            return Verdict(None)
        extra = tuple((key, tuple(values)) for key, values in sorted((user.extra or {}).items()))
        return Verdict(Caller(user.username, tuple(user.groups or ()), user.uid, extra))

    async def _ask_may(self, caller: Caller, *, verb: str, cluster: str) -> bool:
        attributes = {
            "group": ACCESS_GROUP,
            "version": ACCESS_VERSION,
            "resource": "clusters",
            "subresource": "proxy",
            "name": cluster,
            "verb": verb,
        }
        spec = {
            "user": caller.user,
            "groups": caller.groups,
            "uid": caller.uid,
            "extra": dict(caller.extra),
            "resourceAttributes": attributes,
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        raw = await self._kube.request("POST", _ACCESSES, body=body)
        try:
            return msgspec.json.decode(raw, type=_AccessReview).status.allowed
        except msgspec.DecodeError as error:
            raise BadAnswer(path=_ACCESSES, why=str(error)) from error

"""Asking the hub for a credential: a request is made once, found again, and waited for.

1. A request that is there under our name, from the same token, is ours: its name is made from the key.
2. While a person has to accept the cluster, the log says so within `PATIENCE` seconds, once.
3. What the hub refuses is a `HubRefused`; whoever asked decides when to ask again.
"""

from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.errors import EnvironmentFault
from mesh_core.objects import CertificateSigningRequest
from mesh_core.signing import is_approved
from mesh_placement.agent.keys import end_of, fingerprint_of, request_for
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.decide.asking import (
    Answer,
    Approved,
    Asker,
    Refused,
    Signed,
    answer_to,
    attempt_name,
    request_body,
)
from mesh_placement.decide.credential import Credential
from mesh_placement.names import AGENT_ACCOUNT, CLAIM_LIFE_SECONDS, cluster_namespace, renewal_name
from mesh_runtime.clock import Clock
from mesh_runtime.kube import CSRS, NAMESPACES, ApiError, BadAnswer, Informer, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.sighting import sighting

_log = logger(__name__)

PATIENCE = 4.0
# Seconds until the hub is asked afresh, should the watch hear nothing because we are refused by now.
_ASK_AGAIN = 60.0
_MOST_ATTEMPTS = 30


class HubRefused(EnvironmentFault):
    """The hub does not let this cluster in, or not any more."""

    def __init__(self, why: str, *, next_step: str = "do what it says; the agent asks again") -> None:
        super().__init__(f"the hub refuses this cluster: {why}", next_step=next_step)


class _TokenSpec(msgspec.Struct, rename="camel"):
    token: str
    expiration_timestamp: datetime


class _TokenRequest(msgspec.Struct):
    status: _TokenSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who asks: the settings it goes by, and the key it has."""

    settings: HubSettings
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    kube_system_uid: str

    @property
    def fingerprint(self) -> str:
        """Of the key."""
        return fingerprint_of(self.key)


async def joined(hub: KubeClient, *, who: Who, clock: Clock) -> Credential:
    """The first credential; `hub` shows a bootstrap token.

    Waits for a person as long as that takes. Raises HubRefused, ApiError, Unreachable, BadAnswer.
    """
    user = f"system:bootstrap:{who.settings.token_id}"
    last = ""
    for attempt in range(_MOST_ATTEMPTS):
        name = attempt_name(who.settings.cluster, fingerprint=who.fingerprint, attempt=attempt)
        there = await hub.find(CSRS, name)
        # What was refused, or asked by an earlier token, is over: of this attempt we shall hear ourselves.
        if there is None or (there.spec.username == user and not isinstance(answer_to(there), Refused)):
            return await _credential(hub, await _answer(hub, name, who=who, clock=clock), who, clock)
        answer = answer_to(there)
        last = f", the last because: {answer.why}" if isinstance(answer, Refused) else last
    raise HubRefused(
        f"{_MOST_ATTEMPTS} claims of it were refused{last}",
        next_step="do what that says; the agent asks again when they are gone: the hub removes them after an "
        "hour, kubectl delete csr at once",
    )


async def renewed(hub: KubeClient, *, old: Credential, who: Who, clock: Clock) -> Credential:
    """The successor of `old`; `hub` shows `old`. Raises as `joined` does."""
    if old.token:
        made = await token_for(hub, AGENT_ACCOUNT, namespace=old.namespace, seconds=CLAIM_LIFE_SECONDS)
        return _with_token(made, settings=who.settings, now=clock())
    name = renewal_name(who.settings.cluster, fingerprint=who.fingerprint)
    there = await hub.find(CSRS, name)
    if there is not None and answer_to(there) in (Signed(old.certificate), Approved()):
        raise HubRefused("the last renewal still lies there", next_step="wait: the hub removes it")
    return await _credential(hub, await _answer(hub, name, who=who, clock=clock), who, clock)


@dataclass(frozen=True, slots=True)
class Token:
    """A ServiceAccount's token and when it ends."""

    text: str
    expires: datetime


async def token_for(kube: KubeClient, account: str, *, namespace: str, seconds: int) -> Token:
    """A token of a ServiceAccount (authentication.k8s.io/v1 TokenRequest), for the API server itself."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds},
    }
    raw = await kube.request("POST", path, body=body)
    try:
        made = msgspec.json.decode(raw, type=_TokenRequest).status
    except msgspec.DecodeError as error:
        raise BadAnswer(path=path, why=str(error)) from error
    return Token(made.token, made.expiration_timestamp)


async def _answer(hub: KubeClient, name: str, *, who: Who, clock: Clock) -> Answer:
    """Ask, unless that was done, and wait."""
    asker = Asker(fingerprint=who.fingerprint, kube_system_uid=who.kube_system_uid)
    request = request_for(who.key, cluster=who.settings.cluster)
    body = request_body(name, settings=who.settings, request_pem=request, asker=asker, now=clock())
    patience, has_said = PATIENCE, False
    while True:
        there = await hub.find(CSRS, name)
        if there is None:
            try:
                await hub.create(CSRS, body)
                _log.info("asked the hub for a credential", request=name)
            except ApiError as error:
                if not error.is_conflict:
                    raise
        elif patience == _ASK_AGAIN and not has_said:
            _say(there, cluster=who.settings.cluster, key=who.fingerprint)
            has_said = True
        answer = await _seen(hub, name, limit=patience)
        if answer is not None:
            return answer
        patience = _ASK_AGAIN


def _say(request: CertificateSigningRequest, *, cluster: str, key: str) -> None:
    if is_approved(request):
        _log.info("pending: approved, and not signed yet; the hub needs a signer", cluster=cluster)
    else:
        command = f"meshctl clusters accept {cluster} --key {key}"
        _log.info("pending: waiting for acceptance", cluster=cluster, do=command)


async def _seen(hub: KubeClient, name: str, *, limit: float) -> Answer | None:
    informer: Informer[CertificateSigningRequest] = Informer(hub, CSRS, fields=f"metadata.name={name}")

    def look() -> Answer | None:
        request = informer.get(name)
        return None if request is None else answer_to(request)

    return await sighting(informer, look=look, limit=limit)


async def _credential(hub: KubeClient, answer: Answer, who: Who, clock: Clock) -> Credential:
    settings = who.settings
    match answer:
        case Refused(why=why):
            raise HubRefused(why)
        case Approved():
            namespace = cluster_namespace(settings.cluster)
            made = await token_for(hub, AGENT_ACCOUNT, namespace=namespace, seconds=CLAIM_LIFE_SECONDS)
            return _with_token(made, settings=settings, now=clock())
        case Signed(chain=chain):
            return Credential(
                server=settings.server,
                cluster=settings.cluster,
                obtained=clock(),
                expires=end_of(chain),
                certificate=chain,
            )


def _with_token(token: Token, *, settings: HubSettings, now: datetime) -> Credential:
    return Credential(
        server=settings.server,
        cluster=settings.cluster,
        obtained=now,
        expires=token.expires,
        token=token.text,
    )


async def kube_system_uid(member: KubeClient) -> str:
    """What tells this cluster from all others."""
    return (await member.get(NAMESPACES, "kube-system")).metadata.uid
